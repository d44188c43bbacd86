import { setTimeout as sleep } from "node:timers/promises";
import type { BenchContext } from "../context.ts";
import { LoneAgent } from "../lone-agent.ts";
import { changeTime, monotonic, windowRate } from "../meter.ts";
import type { PodSpec } from "../pods.ts";
import { readResident } from "../process.ts";
import { type Finding, judge, publish } from "../report.ts";
import { spread } from "../stats.ts";
import { send } from "../traffic/traffic.ts";
import { type Direction, MTU } from "./bed.ts";
import { receivedBytes } from "./watch.ts";

const PODS = 200;
const EDITS = 100;
/** The two values of an edited limit, bit/s. */
const RATES = [10e6, 20e6] as const;
const OFFERED = 30e6;
/** A limit that is never reached, bit/s. */
const WIDE = 1e9;
const PATIENCE = 5000;

/** One edit: ms until the measured rate changed; null if it never did. */
interface Edit {
  direction: Direction;
  rate: number;
  ms: number | null;
}

/** Two flows whose limits are edited: the first's at the receiver, the second's at the sender. */
const FLOWS: readonly { direction: Direction; edited: string; from: string; to: string }[] = [
  { direction: "ingress", edited: "pod-1", from: "pod-3", to: "pod-1" },
  { direction: "egress", edited: "pod-2", from: "pod-2", to: "pod-4" },
];

const limited = (name: string, rates: Partial<Record<Direction, number>> = {}): PodSpec => ({
  name,
  uid: `u-${name}`,
  node: "node-1",
  annotations: {
    "kubernetes.io/ingress-bandwidth": String(rates.ingress ?? WIDE),
    "kubernetes.io/egress-bandwidth": String(rates.egress ?? WIDE),
  },
});

/** Time until an edit is in force on a node with many pods that are limited in both directions, and the agent's memory. */
export async function many(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say, signal, weir, pods = PODS } = context;
  const edits = quick ? 10 : EDITS;
  const begin = performance.now();
  const all = Array.from({ length: pods }, (_, i) => limited(`pod-${i + 1}`));
  const lone = await LoneAgent.up(weir, all, signal);
  try {
    const upSeconds = (performance.now() - begin) / 1000;
    say(`${pods} pods are limited both ways after ${upSeconds.toFixed(1)} s; ${edits} edits`);
    const { pid } = await lone.client.status();
    const memory = [readResident(pid)];
    const flows = await startFlows(lone);
    const done: Edit[] = [];
    try {
      while (done.length < edits) {
        signal.throwIfAborted();
        const flow = flows[done.length % 2] as RunningFlow;
        done.push(await edit(lone, flow, RATES[Math.floor(done.length / 2 + 1) % 2] as number));
        memory.push(readResident(pid));
      }
    } finally {
      await Promise.all(flows.map((flow) => flow.stop()));
    }
    const inForce = (await lone.client.list("limits")).filter(({ effective }) => effective !== null).length;
    const findings = judgeMany(pods, done, inForce, memory);
    const samples = { pods, upSeconds, edits: done, inForce, memory };
    await publish({ name: "many", title: `${pods} pods limited both ways on one node`, findings, samples }, context);
    return findings;
  } finally {
    await lone.down();
  }
}

type Bins = { time: number; bytes: number }[];
interface RunningFlow {
  direction: Direction;
  edited: string;
  rate: number;
  bins: Bins;
  stop(): Promise<void>;
}

async function startFlows(lone: LoneAgent): Promise<RunningFlow[]> {
  const endpoints = new Map((await lone.client.list("endpoints")).map((one) => [one.name, one.netns]));
  const ips = new Map((await lone.client.list("pods")).map((pod) => [pod.name, pod.ips[0] ?? ""]));
  return Promise.all(
    FLOWS.map(async ({ direction, edited, from, to }) => {
      lone.write(limited(edited, { [direction]: RATES[0] }));
      const options = { address: ips.get(to) ?? "", port: 9000, sizes: [MTU - 28], rate: OFFERED, mtu: MTU };
      const source = await send(endpoints.get(from) ?? "", { ...options, seconds: 3600 });
      const bins: Bins = [];
      const watch = watchArrivals(endpoints.get(to) ?? "", bins);
      await sleep(1000);
      const stop = async (): Promise<void> => {
        watch();
        await source.stop();
      };
      return { direction, edited, rate: RATES[0], bins, stop };
    }),
  );
}

const EVERY_MS = 10;

/** Records arrivals every 10 ms. Returns a function that ends it. */
function watchArrivals(netns: string, bins: Bins): () => void {
  let before = receivedBytes(netns);
  const timer = setInterval(() => {
    const now = receivedBytes(netns);
    bins.push({ time: monotonic(), bytes: now - before });
    before = now;
  }, EVERY_MS);
  return () => clearInterval(timer);
}

async function edit(lone: LoneAgent, flow: RunningFlow, rate: number): Promise<Edit> {
  const { direction, edited, bins, rate: old } = flow;
  const begin = monotonic();
  lone.write(limited(edited, { [direction]: rate }));
  const meter = { rate: (from: number, to: number) => windowRate(bins, from, to) };
  const ms = await changeTime(meter, { begin, old, wanted: rate, patience: PATIENCE });
  flow.rate = rate;
  return { direction, rate, ms: ms ?? null };
}

export function judgeMany(pods: number, edits: readonly Edit[], inForce: number, memory: readonly number[]): Finding[] {
  const { p50, p99, max } = spread(edits.map(({ ms }) => ms ?? Number.POSITIVE_INFINITY));
  const times = `${p50.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`;
  const most = `${(Math.max(...memory) / 1e6).toFixed(1)} MB`;
  return [
    judge(`limits in force of ${pods} pods`, String(inForce), String(2 * pods), inForce === 2 * pods),
    judge(`edit in force on the wire, p50 / p99 / highest of ${edits.length}`, times, "p99 ≤ 1000 ms", p99 <= 1000),
    { what: "agent's resident memory, highest", measured: most, target: "–", verdict: "shown" },
  ];
}
