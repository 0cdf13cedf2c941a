// A Faye server at /cometd on the host and port given.
import {createServer} from "node:http";
import faye from "faye";

const [host, port] = process.argv.slice(2);
const server = createServer();
new faye.NodeAdapter({mount: "/cometd", timeout: 20}).attach(server);
server.listen(port, host, () => console.log(`listening on http://${host}:${port}`));
