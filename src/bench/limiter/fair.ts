import { headerBytes } from "../iperf.ts";
import { rateText } from "../limit-case.ts";
import type { Finding } from "../report.ts";
import { BIN_MS, type Received } from "../traffic/receive.ts";
import { type Direction, MTU } from "./bed.ts";
import type { Interval } from "./tcp.ts";

/** Ratio of layer-3 bytes to payload bytes of TCP. */
export const TCP_LAYER3 = MTU / (MTU - headerBytes(4, "tcp"));

/** Flows that share a limit. Rates in bit/s at layer 3. */
export interface ShareCase {
  /** `fair`: greedy flows; `swarm`: TCP and many flows of one packet each; `ecn`: TCP with ECN marks. */
  kind: "fair" | "swarm" | "ecn";
  rate: number;
  direction: Direction;
  /** Flows of TCP by congestion control. */
  tcp: Readonly<Record<string, number>>;
  /** UDP beside. */
  udp: boolean;
}

export interface ShareResult extends ShareCase {
  name: string;
  /** Rates of flows at the receiver after the first seconds: TCP's by congestion control, and UDP's. */
  flows: Record<string, number[]>;
  /** Segments retransmitted after the first two seconds. */
  retransmits: number;
  /** Packets with an ECN mark that reached the receiver. */
  marks: number;
  /** Packets that the limit has dropped; null if it does not count them. */
  dropped: number | null;
}

/** Jain's fairness index: 1 if all shares are equal, 1/n if one flow has everything. */
export function jain(rates: readonly number[]): number {
  const sum = rates.reduce((a, b) => a + b, 0);
  const squares = rates.reduce((a, b) => a + b * b, 0);
  return squares > 0 ? (sum * sum) / (rates.length * squares) : 0;
}

/** Rates of TCP flows at layer 3 over the receiver's full intervals in a span of seconds. */
export function tcpRates(intervals: readonly Interval[], begin: number, end: number): number[] {
  const full = intervals.filter((one) => one.start >= begin - 0.1 && one.end <= end + 0.1 && one.end - one.start > 0.5);
  const seconds = full.reduce((sum, one) => sum + one.end - one.start, 0);
  const count = Math.max(0, ...full.map(({ flows }) => flows.length));
  return Array.from({ length: count }, (_, i) => {
    const bytes = full.reduce((sum, { flows }) => sum + (flows[i] ?? 0), 0);
    return (8 * bytes * TCP_LAYER3) / seconds;
  });
}

/** Rate of all datagrams at layer 3 in a span of seconds since the first arrival. */
export function udpRate({ bins }: Pick<Received, "bins">, begin: number, end: number): number {
  const bytes = bins.slice((1000 * begin) / BIN_MS, (1000 * end) / BIN_MS).reduce((sum, more) => sum + more, 0);
  return (8 * bytes) / (end - begin);
}

/** A case's name, which is also its key. */
export function shareName({ kind, rate, direction, tcp, udp }: ShareCase): string {
  const flows = Object.entries(tcp).map(([congestion, count]) => `${congestion}×${count}`);
  return [kind, rateText(rate), direction, ...flows, ...(udp ? ["udp"] : [])].join(" ");
}

const FAIR = 0.95;
/** Smallest allowed fraction of a flow's fair share. */
const LEAST = 0.5;
const QUARTER = 0.25;
/** From this rate flows must be fair; below it none may starve, bit/s. */
const EVEN = 10e6;

export function judgeShare(result: ShareResult): Finding[] {
  const { name: what, kind, rate, direction, flows, retransmits, marks, dropped } = result;
  const tcp = Object.entries(flows).flatMap(([of, rates]) => (of === "udp" ? [] : rates));
  const finding = (measured: string, target: string, holds: boolean): Finding[] => [
    { what, measured, target, verdict: holds ? "holds" : "misses" },
  ];
  if (kind === "swarm") {
    const share = tcp.reduce((a, b) => a + b, 0) / rate;
    return finding(`TCP has ${share.toFixed(3)} of the limit`, `≥ ${QUARTER}`, share >= QUARTER);
  }
  if (kind === "ecn") {
    const told = `${marks} marks, ${retransmits} sent again after 2 s${dropped === null ? "" : `, ${dropped} dropped in all`}`;
    // a pod's own TCP is limited by its sockets' send buffers, so there is no queue to mark
    if (direction === "egress") return finding(told, "none sent again", retransmits === 0);
    return finding(told, "marks, none sent again", marks > 0 && retransmits === 0);
  }
  const all = Object.values(flows).flat();
  const index = jain(all);
  const sum = all.reduce((a, b) => a + b, 0);
  const least = (all.length * Math.min(...all)) / rate;
  const parts = Object.entries(flows).map(
    ([of, rates]) => `${of} ${(rates.reduce((a, b) => a + b, 0) / rate).toFixed(2)}`,
  );
  const told = `Jain ${index.toFixed(3)}, least ${least.toFixed(2)} of its share, all ${(sum / rate).toFixed(3)} (${parts.join(", ")})`;
  if (rate < EVEN) return finding(told, `least ≥ ${LEAST}`, least >= LEAST);
  return finding(told, `Jain ≥ ${FAIR}`, index >= FAIR);
}
