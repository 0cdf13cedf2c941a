// A cometd-nodejs-server at /cometd on the host and port given.
import {createServer} from "node:http";
import cometd from "cometd-nodejs-server";

const [host, port] = process.argv.slice(2);
const bayeux = cometd.createCometDServer({timeout: 20000});
createServer((request, response) => bayeux.handle(request, response))
  .listen(port, host, () => console.log(`listening on http://${host}:${port}`));
