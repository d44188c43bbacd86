import { z } from "zod";
import { ECHO_PORT } from "./pods.ts";
import type { Stage } from "./stage.ts";
import { type Spread, spread } from "./stats.ts";
import { CommandError } from "./weir.ts";

/**
 * Runs in a pod: sends a byte over TCP, waits for its echo, and again. Times are of CLOCK_MONOTONIC in ns.
 * The jitter of Node.js is part of every figure, so compare with an unlimited run beside it.
 */
const CLIENT = `
const [host, port, ms, gap] = process.argv.slice(1);
const s = require("node:net").connect({ host, port: +port, noDelay: true });
const samples = [];
let sent = 0n, end = 0n;
const send = () => { sent = process.hrtime.bigint(); s.write("x"); };
s.on("connect", () => { end = process.hrtime.bigint() + BigInt(ms) * 1000000n; send(); });
s.on("data", () => {
  const now = process.hrtime.bigint();
  samples.push(Number(now - sent) / 1000);
  if (now < end) return +gap > 0 ? setTimeout(send, +gap) : send();
  process.stdout.write(JSON.stringify(samples.map((x) => Math.round(x * 10) / 10)));
  s.end();
});
s.on("error", (e) => { console.error(e.message); process.exit(1); });
`;

/** Plays ping-pong between two traffic pods for `ms`, at most one round every `gap` ms. Gives round trips in µs. */
export async function pingPong(
  stage: Stage,
  from: string,
  to: string,
  options: { ms: number; gap?: number; family?: 4 | 6 },
): Promise<Spread> {
  const { ms, gap = 1, family = 4 } = options;
  const argv = ["node", "-e", CLIENT, stage.ip(to, family), ...[ECHO_PORT, ms, gap].map(String)];
  const ended = await stage.attemptExec(from, argv, ms + 20_000);
  if (ended.code !== 0) throw new CommandError(["ping-pong", from, to], ended);
  return spread(z.array(z.number()).parse(JSON.parse(ended.stdout)));
}
