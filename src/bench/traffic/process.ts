import { inNamespace } from "../../kernel/index.ts";
import { type ReceiveOptions, Receiver } from "./receive.ts";
import { Sender, type SendOptions } from "./send.ts";

/**
 * A process that sends or receives datagrams in a namespace: `traffic.js send|receive NETNS JSON`. Writes `ready` once its
 * sockets are there, and what it saw as one line of JSON when it has sent all or gets SIGTERM.
 */
const [role = "", netns = "", json = ""] = process.argv.slice(2);
const ending = new AbortController();
process.on("SIGTERM", () => ending.abort());
const options: unknown = JSON.parse(json);
const end = inNamespace(netns, () =>
  role === "send" ? new Sender(options as SendOptions) : new Receiver(options as ReceiveOptions),
);
process.stdout.write("ready\n");
process.stdout.write(`${JSON.stringify(await end.run(ending.signal))}\n`);
end.close();
