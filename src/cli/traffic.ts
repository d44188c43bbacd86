import { type ChildProcess, spawn } from "node:child_process";
import { Failure } from "./errors.ts";

/** Datagrams from one network namespace to an address, as traffic for verification. */

export interface Flow {
  /** Path of the sender's network namespace. */
  netns: string;
  to: string;
  port: number;
}

/** The port `discard`, on which nobody listens. */
export const DISCARD = 9;
/** The sender's script: batches of 1 kB datagrams, up to half a gigabit per second. */
const SEND = `
const [address, port] = [process.argv[1], Number(process.argv[2])];
const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
const data = Buffer.alloc(1000);
socket.on("error", () => {});
const more = () => {
  let left = 64;
  const done = () => { if (--left === 0) setTimeout(more, 1); };
  for (let i = 0; i < 64; i++) socket.send(data, port, address, done);
};
more();
`;

/** Sends until it is stopped. Entering another namespace needs root. */
export class Traffic {
  readonly #children: ChildProcess[];
  #error = "";

  constructor(flows: readonly Flow[]) {
    this.#children = flows.map(({ netns, to, port }) => {
      const argv = [`--net=${netns}`, "--", process.execPath, "-e", SEND, to, String(port)];
      const child = spawn("nsenter", argv, { stdio: ["ignore", "ignore", "pipe"] });
      child.stderr?.on("data", (text: Buffer) => {
        this.#error += text.toString().slice(0, 500);
      });
      child.on("error", ({ message }) => {
        this.#error += message;
      });
      return child;
    });
  }

  /** @throws Failure if a sender ended by itself, so that nothing was verified */
  async stop(): Promise<void> {
    const ended = this.#children.filter(({ exitCode, pid }) => exitCode !== null || pid === undefined);
    for (const child of this.#children) child.kill("SIGKILL");
    if (ended.length > 0) throw new Failure(`send traffic: ${this.#error.trim() || "the sender ended"} (needs root)`);
  }
}
