import java.util.Base64;
import java.util.Map;

import org.cometd.bayeux.BinaryData;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;
import org.cometd.client.BayeuxClient;
import org.cometd.client.BayeuxClient.BackOffStrategy;
import org.cometd.client.ext.AckExtension;
import org.cometd.client.ext.BinaryExtension;
import org.cometd.client.ext.TimestampClientExtension;
import org.cometd.client.ext.TimesyncClientExtension;

/**
 * The extensions of the CometD Java client, and what the interop suite asks of them. The options name those to use, and
 * may set how long the client pauses after a failure.
 */
final class Extensions {
    private final BayeuxClient client;
    private final TimesyncClientExtension clock = new TimesyncClientExtension();
    private volatile String timestamp = ""; // of what came last

    Extensions(BayeuxClient client, Map<String, Object> options) {
        this.client = client;
        if (options.get("pause") instanceof Number pause) {
            client.setBackOffStrategy(new BackOffStrategy.Linear(pause.longValue(), pause.longValue()));
        }
        for (Object name : (Object[])options.getOrDefault("extensions", new Object[0])) {
            client.addExtension(switch ((String)name) {
                case "ack" -> new AckExtension();
                case "binary" -> new BinaryExtension();
                case "timestamp" -> new TimestampClientExtension();
                case "timesync" -> clock;
                default -> throw new IllegalArgumentException(name.toString());
            });
        }
        client.addExtension(new ClientSession.Extension() {
            @Override
            public boolean rcv(ClientSession session, Message.Mutable message) {
                timestamp = (String)message.getOrDefault(Message.TIMESTAMP_FIELD, timestamp);
                return true;
            }

            @Override
            public boolean rcvMeta(ClientSession session, Message.Mutable message) {
                return rcv(session, message);
            }
        });
    }

    Map<String, Object> state() {
        String session = client.getId();
        return Map.of(
            "session", session == null ? "" : session,
            "connected", !client.isDisconnected(),
            "offset", clock.getOffset(),
            "timestamp", timestamp);
    }

    /** Data as JSON, also that of a binary message. */
    static Object plain(Object data) {
        if (data instanceof BinaryData binary) {
            return Map.of("bytes", Base64.getEncoder().encodeToString(binary.asBytes()), "last", binary.isLast(), "meta", binary.getMetaData());
        }
        return data;
    }

    @SuppressWarnings("unchecked")
    static BinaryData binary(Object plain) {
        Map<String, Object> data = (Map<String, Object>)plain;
        byte[] bytes = Base64.getDecoder().decode((String)data.get("bytes"));
        return new BinaryData(bytes, (Boolean)data.get("last"), (Map<String, Object>)data.get("meta"));
    }
}
