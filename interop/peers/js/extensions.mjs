// The extensions of cometd.js, and what the interop suite asks of them. options
// names those to use, and may set how long the client pauses after a failure.
const classes = {
    ack: "AckExtension", binary: "BinaryExtension", reload: "ReloadExtension",
    timestamp: "TimeStampExtension", timesync: "TimeSyncExtension",
};

// A page that was loaded again subscribes to what it was subscribed to before:
// channels is a map by channel.
export async function useExtensions(client, {extensions = [], pause}, channels, say) {
    const storage = globalThis.window?.sessionStorage; // of pages
    for (const channel of JSON.parse(storage?.getItem("interop.channels") ?? "[]")) {
        channels.set(channel);
    }
    if (pause) {
        client.configure({backoffIncrement: pause, maxBackoff: pause});
    }
    const used = {};
    for (const name of extensions) {
        const module = await import(`cometd/${classes[name]}.js`);
        client.registerExtension(name, used[name] = new module[classes[name]]());
    }
    let timestamp = ""; // of what came last
    client.registerExtension("interop", {
        incoming(message) {
            timestamp = message.timestamp ?? timestamp;
            return message;
        },
    });

    const ops = answer => ({
        state: ({id}) => say({id, data: {
            session: client.getClientId() ?? "",
            connected: !client.isDisconnected(),
            offset: used.timesync?.getTimeOffset() ?? 0,
            timestamp,
        }}),
        publishBinary: ({id, channel, data: {bytes, last, meta}}) =>
            client.publishBinary(channel, Uint8Array.from(atob(bytes), c => c.charCodeAt(0)), last, meta, answer(id)),
        reload: ({id}) => {
            client.reload();
            storage.setItem("interop.channels", JSON.stringify([...channels.keys()]));
            delete window.command; // until the page is there again
            say({id});
            setTimeout(() => location.reload());
        },
    });
    return {ops, plain};
}

// plain is data as JSON, also that of a binary message.
function plain(data) {
    if (!(data?.data instanceof ArrayBuffer)) {
        return data;
    }
    const text = Array.from(new Uint8Array(data.data), b => String.fromCharCode(b)).join("");
    return {bytes: btoa(text), last: data.last, meta: data.meta};
}
