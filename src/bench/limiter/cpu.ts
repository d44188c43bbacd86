import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../commands.ts";
import { rateText } from "../limit-case.ts";
import { type Finding, judge, publish } from "../report.ts";
import { pairedRatio } from "../stats.ts";
import { receive, send } from "../traffic/traffic.ts";
import { killStarted } from "../weir.ts";
import { Bed, type Direction, MTU } from "./bed.ts";
import { TcpLoad } from "./tcp.ts";

/** A load whose packets are counted and timed. Packets' size in bytes at layer 3; of TCP none. */
interface CpuCase {
  rate: number;
  direction: Direction;
  bytes?: number;
}

/** ns of all processors for a packet that passed: of each build, by turns. */
export interface CpuResult {
  name: string;
  pairs: [own: number, other: number][];
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

/** CPU of a packet under a limit, of this build and another one (`--against`), by turns. */
export async function cpu(context: BenchContext): Promise<readonly Finding[]> {
  const { against, weir, quick, say, signal } = context;
  if (against === undefined) throw new Error("measure cpu: name another build (--against PATH/bin/weir)");
  const other = await Bed.up({ ...context, weir: [weir[0] ?? process.execPath, against] });
  try {
    const own = await Bed.up(context);
    try {
      const results: CpuResult[] = [];
      for (const one of CASES) {
        for (const bed of [own, other]) await bed.set(one.direction, one.rate);
        const pairs: [number, number][] = [];
        while (pairs.length < (quick ? 2 : PAIRS)) {
          signal.throwIfAborted();
          pairs.push(await pair(own, other, one, pairs.length % 2 === 1));
        }
        results.push({ name: nameOf(one), pairs });
        say(`${nameOf(one)}: ${pairs.map(([a, b]) => (a / b).toFixed(2)).join(" ")}`);
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
async function pair(own: Bed, other: Bed, one: CpuCase, swapped: boolean): Promise<[number, number]> {
  const first = await turn(swapped ? other : own, one);
  const second = await turn(swapped ? own : other, one);
  return swapped ? [second, first] : [first, second];
}

async function turn(bed: Bed, one: CpuCase): Promise<number> {
  const stop = await startLoad(bed, one);
  await sleep(SETTLE);
  const before = { busy: busyNs(), packets: bed.use(one.direction)?.packets ?? 0 };
  await sleep(TURN);
  const packets = (bed.use(one.direction)?.packets ?? 0) - before.packets;
  const busy = busyNs() - before.busy;
  await stop();
  if (packets <= 0) throw new Error(`measure ${nameOf(one)}: its limit has let no packet through`);
  return busy / packets;
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

/** What all processors have been busy since boot, ns, in steps of 10 ms. */
function busyNs(): number {
  return parseBusy(readFileSync("/proc/stat", "utf8")) * 1e7;
}

/** Busy ticks of all processors, from the text of /proc/stat: neither idle nor waiting for a disk nor stolen. */
export function parseBusy(text: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (text.split("\n", 1)[0] ?? "")
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return user + nice + system + irq + softirq;
}

const MOST = 1.1;

export function judgeCpu({ name, pairs }: CpuResult): Finding {
  const { mean, lower, upper } = pairedRatio(pairs);
  const micros = (which: 0 | 1): string =>
    (pairs.reduce((sum, one) => sum + one[which], 0) / pairs.length / 1000).toFixed(2);
  const measured = `${mean.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)}); ${micros(0)} µs against ${micros(1)}`;
  return judge(name, measured, `≤ ${MOST}`, upper <= MOST);
}
