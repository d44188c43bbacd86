import { flow, goodput, headerBytes, layer3, outside } from "./iperf.ts";
import { firstArrival, type Reading, rateIn, Watch } from "./limiter/watch.ts";
import { pingPong, type Trips } from "./pingpong.ts";
import { type PodSpec, trafficCommands } from "./pods.ts";
import { Stage, type StageOptions } from "./stage.ts";

/** One way to load a limit. Directions are the limited pod's. */
export interface Load {
  direction: "ingress" | "egress";
  where: "same" | "across";
  family: 4 | 6;
  protocol: "tcp" | "udp";
  congestion?: string | undefined;
  flows: number;
}
export interface LimitCase extends Load {
  /** bit/s at layer 3. */
  rate: number;
}

/** Rates in bit/s at layer 3, round trips in µs. */
export interface LoadResult {
  /** After the first second. */
  rate: number;
  firstSecond: number;
  /** In seconds 2 to 6. */
  early?: number | undefined;
  /** In the seconds without BBR's ProbeRTT, and their number. */
  unpaused?: { rate: number; seconds: number } | undefined;
  /** Retransmitted TCP segments; null for UDP. */
  retransmits: number | null;
  /** Round trips between the same pods during the load. */
  pingPong: Trips;
}

/** The limited pod, and its peers: `same` on its node, `across` on the other. */
export const LIMITED = "limited";
export const LIMIT_PODS: readonly PodSpec[] = [
  { name: LIMITED, node: "node-1", commands: trafficCommands(1) },
  { name: "same", node: "node-1", commands: trafficCommands(1) },
  { name: "across", node: "node-2", commands: trafficCommands(1) },
];

export function limitStage(options: Omit<StageOptions, "pods" | "nodes">): Promise<Stage> {
  return Stage.up({ ...options, nodes: 2, pods: LIMIT_PODS });
}

/** Sets or removes the pod's limits; resolves once that is in force. */
export async function setLimits(stage: Stage, rates: Partial<Record<Load["direction"], number>>): Promise<void> {
  const entries = Object.entries(rates).map(([direction, rate]) => [
    `kubernetes.io/${direction}-bandwidth`,
    String(rate),
  ]);
  const pod = LIMIT_PODS.find(({ name }) => name === LIMITED) as PodSpec;
  await stage.apply([{ ...pod, annotations: Object.fromEntries(entries) }]);
}

/**
 * Length of one write. TCP: about 10 ms at the rate, since iperf3 counts whole writes only; at most its default.
 * UDP: the payload that fits the MTU.
 */
export function writeLength(load: Load, rate: number | undefined, mtu: number): number {
  if (load.protocol === "udp") return mtu - headerBytes(load.family, "udp");
  const share = Math.round((rate ?? Number.POSITIVE_INFINITY) / 8 / 100);
  return Math.min(131072, Math.max(1000, share));
}

/** Bits of one round of ping-pong in one direction at layer 3: ping's own 56 bytes and their headers, of IPv6. */
const ROUND_BITS = 8 * 104;

/** With a shorter interval, ms, ping busy-waits, and takes CPU time from what it measures. */
const LEAST_GAP = 20;

/** ms between pings: their share of the limit is small compared with the tolerance. */
export function pingGap(rate: number | undefined): number {
  const share = (rate ?? Number.POSITIVE_INFINITY) >= 10e6 ? 0.001 : 0.004;
  return Math.max(LEAST_GAP, Math.round((1000 * ROUND_BITS) / (share * (rate ?? Number.POSITIVE_INFINITY))));
}

/** Saturates the pod's limit for `seconds` and pings meanwhile. UDP is offered at 10 times the rate. */
export async function runLoad(
  stage: Stage,
  load: Load,
  options: { seconds: number; mtu: number; rate?: number | undefined },
): Promise<LoadResult> {
  const { seconds, mtu, rate } = options;
  const { direction, where, family, protocol, congestion, flows } = load;
  const [from, to] = direction === "egress" ? [LIMITED, where] : [where, LIMITED];
  const length = writeLength(load, rate, mtu);
  const offered = protocol === "udp" && rate ? (10 * rate) / flows : undefined;
  const interval = congestion === "bbr" ? 0.1 : undefined;
  // counted by the kernel: the reader gets data after a loss late, and a UDP reader may be too slow
  const watch = new Watch(await stage.netns(to), undefined, headerBytes(family, protocol));
  const common = { from, to, family, seconds, protocol, congestion, flows, length, interval, rate: offered };
  const [result, trips] = await Promise.all([
    flow(stage, common),
    pingPong(stage, where, LIMITED, { ms: seconds * 1000, gap: pingGap(rate), family }),
  ]);
  const arrived = arrivals(await watch.stop(), seconds);
  const onWire = (bits: number): number => layer3(bits, mtu, family, protocol);
  const quiet = outside(result.intervals, result.pauses).filter(({ start, end }) => start > 0.9 && end - start > 0.5);
  return {
    unpaused: congestion === "bbr" ? { rate: onWire(goodput({ intervals: quiet })), seconds: quiet.length } : undefined,
    retransmits: result.retransmits ?? null,
    pingPong: trips,
    ...arrived,
  };
}

/** Rates from the receiver kernel's counters. */
function arrivals(readings: readonly Reading[], seconds: number): Pick<LoadResult, "rate" | "firstSecond" | "early"> {
  const begin = firstArrival(readings);
  const between = (start: number, end: number): number =>
    rateIn(readings, "received", [{ start: begin + 1000 * start, end: begin + 1000 * end }]) ?? 0;
  return { rate: between(1, seconds - 0.2), firstSecond: between(0, 1), early: between(1, 6) };
}

/** A case's name, which is also its key. */
export function caseName(load: Load & { rate?: number | undefined }): string {
  const { rate, direction, where, family, protocol, congestion, flows } = load;
  const how = protocol === "udp" ? "udp" : `${congestion ?? "tcp"}×${flows}`;
  return `${rate === undefined ? "unlimited" : rateText(rate)} ${direction} ${where} ipv${family} ${how}`;
}

/** `37M`, `1G`, `1.5G`. */
export function rateText(rate: number): string {
  const [unit, factor] = rate >= 1e9 ? (["G", 1e9] as const) : (["M", 1e6] as const);
  return `${Number((rate / factor).toPrecision(4))}${unit}`;
}
