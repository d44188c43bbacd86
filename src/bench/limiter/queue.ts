import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { rateText } from "../limit-case.ts";
import type { Finding } from "../report.ts";
import type { Received } from "../traffic/receive.ts";
import { receive, send } from "../traffic/traffic.ts";
import { type Bed, type Direction, MTU, type Path } from "./bed.ts";
import { runCases } from "./cases.ts";
import { TCP_LAYER3 } from "./fair.ts";
import { PROBE_BYTES, type Probe, probe, probeGap } from "./probe.ts";
import { TcpLoad } from "./tcp.ts";

/** A load that fills a limit's queue. */
export interface QueueCase {
  rate: number;
  direction: Direction;
  /** Sockets of UDP, or flows of TCP. */
  load: "udp×1" | "udp×20" | "tcp×8";
}

export interface QueueResult extends QueueCase {
  name: string;
  /** Only UDP: ms from entering the limit to leaving it, and ms from the sender's end to the last arrival. */
  delay: Received["delay"] | null;
  tail: number | null;
  /** With the load. */
  beside: Probe;
  /** Without limit and load. */
  idle: Probe;
  /** With the same load and without a limit. */
  unlimited: Probe;
}

const RATES = [1e6, 10e6, 100e6, 1000e6];
const LOADS = ["udp×1", "udp×20", "tcp×8"] as const;

export function allQueues(): QueueCase[] {
  return RATES.flatMap((rate) =>
    (["ingress", "egress"] as const).flatMap((direction) => LOADS.map((load) => ({ rate, direction, load }))),
  );
}

export const queueName = ({ rate, direction, load }: QueueCase): string => `${rateText(rate)} ${direction} ${load}`;

/** Waiting time in a full queue, and its effect on sparse traffic. */
export function queue(context: BenchContext): Promise<readonly Finding[]> {
  const cases = {
    name: "queue",
    title: "Time in a limit's queue, and beside it",
    cases: allQueues(),
    few: 3,
    nameOf: queueName,
    run: (bed: Bed, one: QueueCase) => runQueue(bed, one, context.quick ? 5000 : 15_000),
    judge: judgeQueue,
    notes: [
      "Medians of the three probes, µs: beside the load, idle, beside as much load without a limit, own time to send.",
    ],
  };
  return runCases(cases, context);
}

const PORT = 9000;
const PAYLOAD = 1400;
const TIMES = 4;
/** From this rate a sender is not paced, bit/s. */
const FLOOD = 1e9;
const SETTLE = 1500;
/** Longest wait for arrivals after the sender's end, ms. */
const TAIL = 3000;

async function runQueue(bed: Bed, one: QueueCase, ms: number): Promise<QueueResult> {
  const path = bed.path(one.direction, "same");
  const gap = probeGap(one.rate);
  await bed.set(one.direction, null);
  const idle = await probe(path, { ms: ms / 2, gap });
  const { probed: unlimited } = await besideLoad(path, one, { ms: ms / 2, gap, limited: false });
  await bed.set(one.direction, one.rate);
  const { probed: beside, ...rest } = await besideLoad(path, one, { ms, gap, limited: true });
  if ((rest.tail ?? 0) >= TAIL) await bed.renew();
  return { ...one, name: queueName(one), ...rest, beside, idle, unlimited };
}

interface Beside {
  probed: Probe;
  delay: QueueResult["delay"];
  tail: number | null;
}

async function besideLoad(
  path: Path,
  { rate, load }: QueueCase,
  { ms, gap, limited }: { ms: number; gap: number; limited: boolean },
): Promise<Beside> {
  const { from, to, address } = path;
  if (load === "tcp×8") {
    const paced = limited ? undefined : rate / 8 / TCP_LAYER3;
    const tcp = await TcpLoad.start({ ...path, congestion: "cubic", flows: 8, rate: paced });
    await sleep(SETTLE);
    const probed = await probe(path, { ms, gap });
    await tcp.stop();
    return { probed, delay: null, tail: null };
  }
  const sink = await receive(to, { port: PORT, mtu: MTU });
  const offered = rate >= FLOOD ? null : TIMES * rate;
  const common = { address, port: PORT, mtu: MTU, sizes: [PAYLOAD], seconds: 3600, rate: offered };
  const source = await send(from, { ...common, flows: load === "udp×20" ? 20 : 1 });
  await sleep(SETTLE);
  const probed = await probe(path, { ms, gap });
  const { end } = await source.stop();
  await sleep(TAIL);
  const { delay, last } = await sink.stop();
  return { probed, delay, tail: (last - end) / 1000 };
}

/** Highest allowed delay, ms. */
const MOST_DELAY = 100;
const MOST_TAIL = 200;
const TIMES_IDLE = 3;
/** Medians below this always pass, µs. */
const NOTICEABLE = 50;

export function judgeQueue(result: QueueResult): Finding[] {
  const { name, delay, tail } = result;
  const findings = (["ping64", "ping1000", "request"] as const).map((what) => judgeProbe(result, what));
  if (delay === null || tail === null) return findings;
  const ms = `p50 ${delay.p50.toFixed(1)}, p99 ${delay.p99.toFixed(1)}, highest ${delay.max.toFixed(1)} ms`;
  return [
    {
      what: `${name} from entering to leaving`,
      measured: ms,
      target: `p99 ≤ ${MOST_DELAY} ms`,
      verdict: delay.p99 <= MOST_DELAY ? "holds" : "misses",
    },
    {
      what: `${name} after the sender's end`,
      measured: `the last after ${tail.toFixed(0)} ms`,
      target: `≤ ${MOST_TAIL} ms`,
      verdict: tail <= MOST_TAIL ? "holds" : "misses",
    },
    ...findings,
  ];
}

/** Only shown if it holds compared with the same load without a limit, but not compared with an idle machine. */
function judgeProbe({ name, rate, beside, idle, unlimited }: QueueResult, what: keyof Probe): Finding {
  const own = (8e6 * PROBE_BYTES[what]) / rate;
  const { p50, lost } = beside[what];
  const bound = (without: Probe): number => Math.max(TIMES_IDLE * without[what].p50, NOTICEABLE) + own;
  const parts = [p50, idle[what].p50, unlimited[what].p50, own].map((time) => time.toFixed(0));
  return {
    what: `${name} ${what}`,
    measured: `${parts[0]} µs (idle ${parts[1]}, as much load ${parts[2]}, own ${parts[3]})${lost > 0 ? `, ${lost} lost` : ""}`,
    target: `≤ ${bound(idle).toFixed(0)} µs`,
    verdict: p50 <= bound(idle) ? "holds" : p50 <= bound(unlimited) ? "shown" : "misses",
  };
}
