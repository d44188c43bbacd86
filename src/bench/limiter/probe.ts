import { LOST, parsePing, type Trips } from "../pingpong.ts";
import { spread } from "../stats.ts";
import { REQUEST_BYTES } from "../traffic/request.ts";
import { answer, request } from "../traffic/traffic.ts";
import { attempt } from "../weir.ts";
import type { Path } from "./bed.ts";

/** Response times of sparse traffic, µs: ping of 64 and 1,000 bytes, and a 2 kB request on a new connection. */
export interface Probe {
  ping64: Trips;
  ping1000: Trips;
  request: Trips;
}

const IP_ICMP = 28;
const SEGMENTS = 2;
/** Bytes at layer 3 that each sends before it is answered; the request sends a SYN and its segments. */
export const PROBE_BYTES: Readonly<Record<keyof Probe, number>> = {
  ping64: 56 + IP_ICMP,
  ping1000: 1000 + IP_ICMP,
  request: 60 + REQUEST_BYTES + SEGMENTS * 52,
};
/** Bytes of a round, including the request's acknowledgements. */
const ROUND_BYTES = Object.values(PROBE_BYTES).reduce((sum, bytes) => sum + bytes, 0) + 3 * 52;
/** Highest share of the limit, and shortest time between rounds, ms. */
const SHARE = 0.1;
const LEAST_GAP = 50;
const PORT = 9100;

/** ms between rounds, such that all three together take at most a tenth of a rate. */
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
  // requests that were never answered count too
  const all = times.length > 0 ? times : [LOST];
  return { ...spread(all), lost: all.filter((time) => time >= LOST).length };
}
