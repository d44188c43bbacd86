import { LOST, parsePing, type Trips } from "../pingpong.ts";
import { spread } from "../stats.ts";
import { REQUEST_BYTES } from "../traffic/request.ts";
import { answer, request } from "../traffic/traffic.ts";
import { attempt } from "../weir.ts";
import type { Path } from "./bed.ts";

/** What somebody with little to say waits for, µs: ping of 64 and 1,000 bytes, and a 2 kB request on a new connection. */
export interface Probe {
  ping64: Trips;
  ping1000: Trips;
  request: Trips;
}

const IP_ICMP = 28;
const SEGMENTS = 2;
/** Bytes at layer 3 of what each needs to have sent before it is answered: the request a SYN and its segments. */
export const PROBE_BYTES: Readonly<Record<keyof Probe, number>> = {
  ping64: 56 + IP_ICMP,
  ping1000: 1000 + IP_ICMP,
  request: 60 + REQUEST_BYTES + SEGMENTS * 52,
};
/** All of a round with the request's acknowledgements. */
const ROUND_BYTES = Object.values(PROBE_BYTES).reduce((sum, bytes) => sum + bytes, 0) + 3 * 52;
/** Of the limit, at most; and ms between rounds, at least. */
const SHARE = 0.1;
const LEAST_GAP = 50;
const PORT = 9100;

/** ms between rounds, so that all three together take a tenth of a rate at most. */
export function probeGap(rate: number): number {
  return Math.max(LEAST_GAP, Math.ceil((8000 * ROUND_BYTES) / (SHARE * rate)));
}

/** Probes a path for `ms`. */
export async function probe({ from, to, address }: Path, { ms, gap }: { ms: number; gap: number }): Promise<Probe> {
  const server = await answer(to, { port: PORT });
  const client = await request(from, { address, port: PORT, gap });
  const [ping64, ping1000] = await Promise.all([56, 1000].map((bytes) => ping(from, address, bytes, { ms, gap })));
  const times = await client.stop();
  await server.stop();
  return { ping64: ping64 as Trips, ping1000: ping1000 as Trips, request: tripsOf(times) };
}

async function ping(
  from: string,
  address: string,
  bytes: number,
  { ms, gap }: { ms: number; gap: number },
): Promise<Trips> {
  const options = ["-n", "-s", String(bytes), "-i", String(gap / 1000), "-w", String(Math.ceil(ms / 1000))];
  const { stdout } = await attempt(["nsenter", `--net=${from}`, "--", "ping", ...options, address], {
    timeout: ms + 20_000,
  });
  return parsePing(stdout);
}

function tripsOf(times: readonly number[]): Trips {
  // one that never came to an end counts too
  const all = times.length > 0 ? times : [LOST];
  return { ...spread(all), lost: all.filter((time) => time >= LOST).length };
}
