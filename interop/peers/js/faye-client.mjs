// Driver: the Faye client.
import faye from "faye";
import {obey, say, transport, url} from "./lines.mjs";

const client = new faye.Client(url);
for (const type of ["websocket", "eventsource", "long-polling", "cross-origin-long-polling", "callback-polling", "in-process"]) {
    if (type !== transport && type !== "long-polling") { // it always shakes hands by long-polling
        client.disable(type);
    }
}

const subscriptions = new Map(); // by channel
const failed = id => error => say({id, error: String(error)});

// Reports the answer to an unsubscribe, which the client keeps to itself.
const unsubscribes = new Map(); // ids by channel
client.addExtension({
    incoming(message, pass) {
        const id = message.channel === "/meta/unsubscribe" && unsubscribes.get(message.subscription);
        if (id) {
            unsubscribes.delete(message.subscription);
            say(message.successful ? {id} : {id, error: message.error});
        }
        pass(message);
    },
});

const ops = {
    connect: ({id}) => client.connect(() => say({id})),
    subscribe: ({id, channel}) => {
        const subscription = client.subscribe(channel).withChannel((channel, data) => say({channel, data}));
        subscriptions.set(channel, subscription);
        subscription.then(() => say({id}), failed(id));
    },
    unsubscribe: ({id, channel}) => {
        unsubscribes.set(channel, id);
        subscriptions.get(channel).cancel();
        subscriptions.delete(channel);
    },
    publish: ({id, channel, data}) => client.publish(channel, data).then(() => say({id}), failed(id)),
    // Faye has no calls: an answer is a message on the service channel.
    call: ({id, channel, data}) => {
        const subscription = client.subscribe(channel, data => {
            subscription.cancel();
            say({id, data});
        });
        subscription.then(() => client.publish(channel, data), failed(id));
    },
    disconnect: ({id}) => client.disconnect().then(() => say({id}), failed(id)),
};
obey(command => ops[command.op](command));
