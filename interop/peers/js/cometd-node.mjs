// Driver: cometd.js in Node.
import {adapt} from "cometd-nodejs-client";
import {drive} from "./cometd.mjs";
import {obey, options, say, transport, url} from "./lines.mjs";

adapt();
obey(await drive(url, transport, say, options));
