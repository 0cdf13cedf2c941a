// The real cometd.js, obeying the interop suite: drive is given a function
// that writes one answer, and returns one that takes one command. It serves
// Node (cometd-node.mjs) and a page in a browser (page.html) alike.
import {CometD} from "cometd";
import {useExtensions} from "./extensions.mjs";

export async function drive(url, transport, say, options) {
    const client = new CometD();
    for (const type of client.getTransportTypes()) {
        if (type !== transport) {
            client.unregisterTransport(type);
        }
    }
    client.configure({url, maxSendBayeuxMessageSize: 1 << 20}); // its default is 8192

    const handles = new Map(); // subscriptions by channel
    const extended = await useExtensions(client, options, handles, say);
    const receive = message => say({channel: message.channel, data: extended.plain(message.data)});

    // A new session knows no subscription of the old one.
    client.addListener("/meta/handshake", reply => {
        if (reply.successful) {
            for (const channel of handles.keys()) {
                handles.set(channel, client.subscribe(channel, receive));
            }
        }
    });

    const answer = id => reply => say(reply.successful ? {id} : {id, error: JSON.stringify(reply)});

    const ops = {
        connect: ({id}) => client.handshake(answer(id)),
        subscribe: ({id, channel}) => handles.set(channel, client.subscribe(channel, receive, answer(id))),
        unsubscribe: ({id, channel}) => {
            client.unsubscribe(handles.get(channel), answer(id));
            handles.delete(channel);
        },
        publish: ({id, channel, data}) => client.publish(channel, data, answer(id)),
        call: ({id, channel, data}) => client.remoteCall(channel.replace("/service/", ""), data, 10000, reply =>
            say(reply.successful ? {id, data: reply.data} : {id, error: JSON.stringify(reply)})),
        disconnect: ({id}) => client.disconnect(answer(id)),
        ...extended.ops(answer),
    };
    return command => ops[command.op](command);
}
