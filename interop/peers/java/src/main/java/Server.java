import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Set;

import org.cometd.bayeux.Promise;
import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerChannel;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.ext.AcknowledgedMessagesExtension;
import org.cometd.server.ext.BinaryExtension;
import org.cometd.server.ext.TimestampExtension;
import org.cometd.server.ext.TimesyncExtension;
import org.cometd.server.http.JSONHttpTransport;
import org.cometd.server.http.jakarta.CometDServlet;
import org.cometd.server.websocket.jetty.JettyWebSocketTransport;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Context;
import org.eclipse.jetty.server.handler.CrossOriginHandler;
import org.eclipse.jetty.websocket.server.WebSocketUpgradeHandler;

/**
 * The CometD Java server at /cometd on the host and port given, WebSocket and long-polling, with /service/echo; with all
 * its extensions if a third argument is given.
 */
public final class Server {
    public static void main(String[] args) throws Exception {
        String host = args[0];
        int port = Integer.parseInt(args[1]);
        org.eclipse.jetty.server.Server server = new org.eclipse.jetty.server.Server(new InetSocketAddress(host, port));
        server.setStopAtShutdown(true);

        ServletContextHandler context = new ServletContextHandler("/");
        CrossOriginHandler origins = new CrossOriginHandler(); // the browser's page comes from another port
        origins.setAllowedOriginPatterns(Set.of("http://localhost:\\d+"));
        origins.setAllowCredentials(true);
        server.setHandler(origins);
        origins.setHandler(context);
        context.insertHandler(WebSocketUpgradeHandler.from(server, context));

        BayeuxServerImpl bayeux = new BayeuxServerImpl();
        bayeux.setOption(Context.class.getName(), context.getContext());
        bayeux.setOption("ws.cometdURLMapping", "/cometd/*");
        bayeux.addTransport(new JettyWebSocketTransport(bayeux));
        bayeux.addTransport(new JSONHttpTransport(bayeux));
        echo(bayeux);
        if (args.length > 2) {
            extend(bayeux);
        }
        context.setAttribute(BayeuxServer.ATTRIBUTE, bayeux);

        ServletHolder servlet = new ServletHolder(new CometDServlet());
        servlet.setAsyncSupported(true);
        servlet.setInitOrder(1);
        context.addServlet(servlet, "/cometd/*");

        server.start();
        System.out.println("listening on http://" + host + ":" + port);
        server.join();
    }

    /** Its clock is an hour ahead, so that a client that knows the time has it from here. */
    private static void extend(BayeuxServerImpl bayeux) {
        bayeux.setOption("maxInterval", 60_000);
        bayeux.addExtension(new AcknowledgedMessagesExtension());
        bayeux.addExtension(new TimestampExtension());
        bayeux.addExtension(new BinaryExtension());
        bayeux.addExtension(new BayeuxServer.Extension() {
            @Override
            @SuppressWarnings("unchecked")
            public boolean sendMeta(ServerSession to, ServerMessage.Mutable message) {
                Map<String, Object> ext = message.getExt();
                if (ext != null && ext.get("timesync") instanceof Map<?, ?> reply) {
                    ((Map<String, Object>)reply).computeIfPresent("ts", (name, time) -> ((Number)time).longValue() + 3_600_000);
                }
                return true;
            }
        });
        bayeux.addExtension(new TimesyncExtension());
    }

    /** Answers a message on /service/echo with its own data, as the result of a remote call. */
    private static void echo(BayeuxServer bayeux) {
        ServerChannel channel = bayeux.createChannelIfAbsent("/service/echo", c -> c.setPersistent(true)).getReference();
        channel.addListener(new ServerChannel.MessageListener() {
            @Override
            public boolean onMessage(ServerSession sender, ServerChannel channel, ServerMessage.Mutable message) {
                ServerMessage.Mutable answer = bayeux.newMessage();
                answer.setId(message.getId());
                answer.setChannel(message.getChannel());
                answer.setData(message.getData());
                answer.setSuccessful(true);
                sender.deliver(null, answer, Promise.noop());
                return true;
            }
        });
    }
}
