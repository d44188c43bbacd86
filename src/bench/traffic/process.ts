import { Flood, type FloodOptions, Sink } from "./flood.ts";
import { Gaps } from "./gaps.ts";
import { type ReceiveOptions, Receiver } from "./receive.ts";
import { Answerer, Requester, type RequestOptions } from "./request.ts";
import { Sender, type SendOptions } from "./send.ts";

/**
 * A process that sends, receives or waits in its network namespace: `traffic.js ROLE JSON`. Writes `ready` once its sockets are
 * open, and its result as one line of JSON when it has sent everything or receives SIGTERM.
 */
const [role = "", json = ""] = process.argv.slice(2);
const ROLES: Readonly<
  Record<string, (options: unknown) => { run(signal: AbortSignal): Promise<unknown>; close(): void }>
> = {
  send: (options) => new Sender(options as SendOptions),
  receive: (options) => new Receiver(options as ReceiveOptions),
  answer: (options) => new Answerer(options as { port: number }),
  request: (options) => new Requester(options as RequestOptions),
  flood: (options) => new Flood(options as FloodOptions),
  sink: (options) => new Sink(options as { port: number }),
  gaps: () => new Gaps(),
};
const make = ROLES[role];
if (!make) throw new Error(`start traffic: no role ${role} (${Object.keys(ROLES).join(", ")})`);
const ending = new AbortController();
process.on("SIGTERM", () => ending.abort());
const end = make(JSON.parse(json));
process.stdout.write("ready\n");
process.stdout.write(`${JSON.stringify(await end.run(ending.signal))}\n`);
end.close();
