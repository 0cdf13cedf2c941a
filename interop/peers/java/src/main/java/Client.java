import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import jakarta.websocket.ContainerProvider;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession.MessageListener;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.util.ajax.JSON;

/** Driver: the CometD Java client. One JSON object per line: commands on stdin, answers and messages on stdout. */
public final class Client {
    private final JSON json = new JSON();
    private final Map<String, ClientSessionChannel.MessageListener> subscriptions = new ConcurrentHashMap<>();
    private final BayeuxClient client;
    private final Extensions extensions;

    private Client(String url, String transport, Map<String, Object> options) throws Exception {
        client = new BayeuxClient(url, transport(transport));
        extensions = new Extensions(client, options);
        client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener)(channel, reply) -> {
            if (reply.isSuccessful()) {
                subscriptions.forEach(this::resubscribe);
            }
        });
    }

    /** A new session knows no subscription of the old one; but main may have made one for it already. */
    private void resubscribe(String name, ClientSessionChannel.MessageListener listener) {
        ClientSessionChannel channel = client.getChannel(name);
        if (channel.getSubscribers().isEmpty()) {
            channel.subscribe(listener);
        }
    }

    private static ClientTransport transport(String type) throws Exception {
        if (type.equals("websocket")) {
            return new WebSocketTransport(null, null, ContainerProvider.getWebSocketContainer());
        }
        HttpClient http = new HttpClient();
        http.start();
        return new JettyHttpClientTransport(null, http);
    }

    @SuppressWarnings("unchecked")
    public static void main(String[] args) throws Exception {
        Map<String, Object> options = args.length > 2 ? (Map<String, Object>)new JSON().fromJSON(args[2]) : Map.of();
        Client driver = new Client(args[0], args[1], options);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            driver.obey((Map<String, Object>)driver.json.fromJSON(line));
        }
        System.exit(0);
    }

    private void obey(Map<String, Object> command) {
        Object id = command.get("id");
        String channel = (String)command.get("channel");
        Object data = command.get("data");
        MessageListener answer = reply -> answer(id, reply);
        switch ((String)command.get("op")) {
            case "connect" -> client.handshake(answer);
            case "subscribe" -> {
                ClientSessionChannel.MessageListener listener = (c, m) -> say(Map.of("channel", m.getChannel(), "data", Extensions.plain(m.getData())));
                subscriptions.put(channel, listener);
                client.getChannel(channel).subscribe(listener, answer);
            }
            case "unsubscribe" -> client.getChannel(channel).unsubscribe(subscriptions.remove(channel), answer);
            case "publish" -> client.getChannel(channel).publish(data, answer);
            case "call" -> client.remoteCall(channel.substring("/service".length()), data, reply -> {
                if (reply.isSuccessful()) {
                    say(Map.of("id", id, "data", reply.getData()));
                } else {
                    answer(id, reply);
                }
            });
            case "disconnect" -> client.disconnect(answer);
            case "state" -> say(Map.of("id", id, "data", extensions.state()));
            case "publishBinary" -> client.getChannel(channel).publish(Extensions.binary(data), answer);
            default -> throw new IllegalArgumentException(command.toString());
        }
    }

    private void answer(Object id, Message reply) {
        Map<String, Object> answer = new HashMap<>(Map.of("id", id));
        if (!reply.isSuccessful()) {
            answer.put("error", reply.toString());
        }
        say(answer);
    }

    private synchronized void say(Map<String, Object> answer) {
        byte[] line = (json.toJSON(answer) + "\n").getBytes(StandardCharsets.UTF_8);
        System.out.write(line, 0, line.length);
        System.out.flush();
    }
}
