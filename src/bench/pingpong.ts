import type { Stage } from "./stage.ts";
import { type Spread, spread } from "./stats.ts";
import { CommandError } from "./weir.ts";

/** Round trips in µs; a lost one counts as `LOST`. */
export interface Trips extends Spread {
  lost: number;
}

/** Round trip of a lost packet in the statistics, µs. */
export const LOST = 10_000_000;

/**
 * Parses the output of `ping`. Its times are the network's: the far end's kernel answers, and this end's kernel takes the time when an
 * answer arrives. A process that answers must be woken first, which on an idle or busy machine takes several times as long as
 * the network, and more at the 99th percentile (a Node.js pair: p50 375 µs compared with ping's 55, one round in 84 ms).
 */
export function parsePing(text: string): Trips {
  const samples = [...text.matchAll(/ time=([\d.]+) ms/g)].map(([, ms]) => 1000 * Number(ms));
  const [, sent] = /^(\d+) packets transmitted/m.exec(text) ?? [];
  if (sent === undefined) throw new Error(`read ping: no summary in ${JSON.stringify(text.slice(-200))}`);
  // the last one may not have been answered yet
  const lost = Math.max(0, Number(sent) - samples.length - 1);
  return { ...spread([...samples, ...Array<number>(lost).fill(LOST)]), lost };
}

/** ICMP echo between two pods for `ms`, a round every `gap` ms. */
export async function pingPong(
  stage: Stage,
  from: string,
  to: string,
  options: { ms: number; gap?: number; family?: 4 | 6 },
): Promise<Trips> {
  const { ms, gap = 1, family = 4 } = options;
  const times = ["-i", String(gap / 1000), "-w", String(Math.ceil(ms / 1000))];
  const argv = ["ping", `-${family}`, "-n", ...times, stage.ip(to, family)];
  const ended = await stage.attemptExec(from, argv, ms + 20_000);
  if (ended.code !== 0) throw new CommandError(argv, ended);
  return parsePing(ended.stdout);
}
