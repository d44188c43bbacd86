import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { rateText } from "../limit-case.ts";
import { type Finding, judge, publish } from "../report.ts";
import { pairedRatio } from "../stats.ts";
import { receive, send } from "../traffic/traffic.ts";
import { killStarted } from "../weir.ts";
import { Bed, type Direction, MTU } from "./bed.ts";
import { TcpLoad } from "./tcp.ts";

/** A load whose packets are counted. Packet size in bytes at layer 3; undefined for TCP. */
interface CpuCase {
  rate: number;
  direction: Direction;
  bytes?: number;
}

/** One turn. */
export interface Turn {
  /** ns of CPU time of all processors per packet that the limit passed. */
  cost: number;
  /** Utilization of the processors, 0 to 1. */
  busy: number;
}

export interface CpuResult {
  name: string;
  /** A turn of each build. */
  pairs: [own: Turn, other: Turn][];
}

const CASES: readonly CpuCase[] = [
  { rate: 500e6, direction: "ingress", bytes: 1428 },
  { rate: 50e6, direction: "ingress", bytes: 164 },
  { rate: 500e6, direction: "ingress" },
  { rate: 500e6, direction: "egress" },
];
const nameOf = ({ rate, direction, bytes }: CpuCase): string =>
  `${rateText(rate)} ${direction} ${bytes === undefined ? "TCP" : `UDP of ${bytes} bytes`}`;

const PAIRS = 10;
const TURN = 3000;
const SETTLE = 500;

/** CPU time per packet under a limit, of this build and another one (`--against`), measured alternately. */
export async function cpu(context: BenchContext): Promise<readonly Finding[]> {
  const { against, quick, say, signal } = context;
  if (against === undefined) throw new Error("measure cpu: name another build (--against PATH/bin/weir)");
  const other = await Bed.up({ ...context, weir: [against] });
  try {
    const own = await Bed.up(context);
    try {
      const results: CpuResult[] = [];
      for (const one of CASES) {
        for (const bed of [own, other]) await bed.set(one.direction, one.rate);
        const pairs: CpuResult["pairs"] = [];
        while (pairs.length < (quick ? 2 : PAIRS)) {
          signal.throwIfAborted();
          pairs.push(await pair(own, other, one, pairs.length % 2 === 1));
        }
        results.push({ name: nameOf(one), pairs });
        say(`${nameOf(one)}: ${pairs.map(([a, b]) => (a.cost / b.cost).toFixed(2)).join(" ")}`);
      }
      const findings = results.map(judgeCpu);
      const notes = ["All that the machine does is counted, the traffic's own processes too: nothing else may run."];
      await publish(
        { name: "cpu", title: "CPU of a packet under a limit", findings, samples: results, notes },
        context,
      );
      return findings;
    } finally {
      killStarted();
      await own.down();
    }
  } finally {
    await other.down();
  }
}

/** One turn of each build, in an order that changes. */
async function pair(own: Bed, other: Bed, one: CpuCase, swapped: boolean): Promise<[Turn, Turn]> {
  const first = await turn(swapped ? other : own, one);
  const second = await turn(swapped ? own : other, one);
  return swapped ? [second, first] : [first, second];
}

async function turn(bed: Bed, one: CpuCase): Promise<Turn> {
  const stop = await startLoad(bed, one);
  await sleep(SETTLE);
  const before = { ticks: readTicks(), packets: bed.use(one.direction)?.packets ?? 0 };
  await sleep(TURN);
  const packets = (bed.use(one.direction)?.packets ?? 0) - before.packets;
  const now = readTicks();
  const busy = now.busy - before.ticks.busy;
  await stop();
  if (packets <= 0) throw new Error(`measure ${nameOf(one)}: its limit has let no packet through`);
  return { cost: (busy * TICK_NS) / packets, busy: busy / (now.all - before.ticks.all) };
}

const PORT = 9000;

async function startLoad(bed: Bed, { direction, rate, bytes }: CpuCase): Promise<() => Promise<unknown>> {
  const path = bed.path(direction, "same");
  if (bytes === undefined) {
    const load = await TcpLoad.start({ ...path, congestion: "cubic", flows: 1 });
    return () => load.stop();
  }
  const sink = await receive(path.to, { port: PORT, mtu: MTU });
  const common = { address: path.address, port: PORT, mtu: MTU, seconds: 3600 };
  const source = await send(path.from, { ...common, sizes: [bytes - 28], rate: 1.1 * rate });
  return async () => {
    await source.stop();
    await sink.stop();
  };
}

/** Length of a tick on every Linux that Node.js runs on, ns. */
const TICK_NS = 1e7;
const readTicks = (): Ticks => parseTicks(readFileSync("/proc/stat", "utf8"));

interface Ticks {
  busy: number;
  all: number;
}

/** Ticks of all processors since boot, from the text of /proc/stat. Busy excludes idle, iowait and steal. */
export function parseTicks(text: string): Ticks {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = (
    text.split("\n", 1)[0] ?? ""
  )
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softirq;
  return { busy, all: busy + idle + wait + steal };
}

/** Highest utilization at which the cost of a packet can be measured. */
const MOST_BUSY = 0.95;
const MOST = 1.1;

export function judgeCpu({ name: what, pairs }: CpuResult): Finding {
  const { mean, lower, upper } = pairedRatio(pairs.map(([own, other]) => [own.cost, other.cost] as const));
  const micros = (which: 0 | 1): string =>
    (pairs.reduce((sum, one) => sum + one[which].cost, 0) / pairs.length / 1000).toFixed(2);
  const measured = `${mean.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)}); ${micros(0)} µs against ${micros(1)}`;
  const target = `≤ ${MOST}`;
  const busy = Math.max(...pairs.flat().map((turn) => turn.busy));
  if (busy <= MOST_BUSY) return judge(what, measured, target, upper <= MOST);
  const told = `${measured}; the processors were ${(100 * busy).toFixed(0)} % busy`;
  return { what, measured: told, target, verdict: "shown" };
}
