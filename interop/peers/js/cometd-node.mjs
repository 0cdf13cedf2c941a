// Driver: cometd.js in Node.
import {adapt} from "cometd-nodejs-client";
import {drive} from "./cometd.mjs";
import {obey, say, transport, url} from "./lines.mjs";

adapt();
obey(drive(url, transport, say));
