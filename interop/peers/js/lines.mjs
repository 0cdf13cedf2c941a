// The suite's side of a driver in Node: one JSON object per line, commands on
// stdin, answers and messages on stdout, the log on stderr.
import {createInterface} from "node:readline";

console.log = console.info = console.debug = console.error;

export const [url, transport, ...rest] = process.argv.slice(2);
export const options = JSON.parse(rest[0] ?? "{}");

export const say = answer => process.stdout.write(JSON.stringify(answer) + "\n");

export function obey(run) {
    createInterface({input: process.stdin})
        .on("line", line => run(JSON.parse(line)))
        .on("close", () => process.exit());
}
