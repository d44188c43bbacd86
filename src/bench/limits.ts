import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TopLevelSpec } from "vega-lite";
import { stringify } from "yaml";
import * as z from "zod";
import {
  attachDevice,
  type BpfObject,
  changeTc,
  handle,
  ifindexOf,
  inNamespace,
  loadObject,
  TC_ROOT,
} from "../kernel/index.ts";
import { Bridge } from "./bridge.ts";
import type { BenchContext } from "./context.ts";
import { firstSecond, goodput, type Interval, layer3 } from "./iperf.ts";
import { rateText } from "./limit-case.ts";
import { objectsFolder } from "./objects.ts";
import { podObject } from "./pods.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";
import { attempt, start } from "./weir.ts";

const MBIT = 1e6;
/** Rates of podmgr's figure 3.7 and similar ones, bit/s. */
const RATES = [1, 3, 10, 37, 100, 200, 400, 600, 650, 1000, 2000, 4000, 5000].map((rate) => rate * MBIT);
const METHODS = ["Weir", "tbf qdisc", "token bucket"] as const;
type Method = (typeof METHODS)[number];
const MTU = 1500;
const PORT = 5301;
const SECONDS = 20;

/** Two network namespaces and the receiver's address. */
interface Path {
  from: string;
  to: string;
  address: string;
}

interface Run {
  /** Payload bytes at the receiver. */
  intervals: readonly Interval[];
  retransmits: number;
}

/** One run. Rates in bit/s at layer 3. */
interface Sample {
  method: Method | "unlimited";
  /** 0: unlimited. */
  rate: number;
  /** After the first second. */
  measured: number;
  firstSecond: number;
  retransmits: number;
  /** CPU time that the hypervisor gave to others meanwhile, ms, sum of all cores. */
  denied: number;
  intervals: readonly Interval[];
}

/** Exactness of limits, compared with a tbf qdisc and a plain token bucket in the same run, with one cubic flow each. */
export async function limits(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say, seconds = quick ? 3 : SECONDS } = context;
  const pods = ["a", "b"].map((name) => ({ name, node: "node-1" }));
  const stage = await Stage.up({ ...context, nodes: 1, overlay: "direct", pods });
  let bridge: Bridge | undefined;
  try {
    bridge = await Bridge.make(MTU);
    const peer: Path = { from: bridge.ends[0], to: bridge.ends[1], address: bridge.addresses[1] };
    const weir = await podPath(stage);
    const samples = [await measure("unlimited", 0, weir, seconds)];
    for (const rate of quick ? RATES.filter((_, i) => i % 3 === 0) : RATES) {
      for (const method of METHODS) {
        const limited = method === "Weir" ? limitPod(stage, rate) : limitPath(method, peer, rate, context);
        const undo = await limited;
        try {
          const sample = await measure(method, rate, method === "Weir" ? weir : peer, seconds);
          samples.push(sample);
          say(`${rateText(rate)} ${method}: ${percent(sample.measured / rate - 1)}`);
        } finally {
          undo();
        }
      }
    }
    return await report(samples, seconds, context);
  } finally {
    await bridge?.close();
    await stage.down();
  }
}

async function report(samples: readonly Sample[], seconds: number, context: BenchContext): Promise<Finding[]> {
  const carried = samples.find(({ method }) => method === "unlimited")?.measured ?? 0;
  const findings = samples.filter(({ method }) => method !== "unlimited").map((sample) => judgeSample(sample, carried));
  const notes = [
    `One cubic flow of ${seconds} s a rate; layer 3 after the first second. Without a limit: ${rateText(carried)}bit/s.`,
    `CPU time that this machine was denied during the runs: ${samples.reduce((sum, { denied }) => sum + denied, 0)} ms.`,
  ];
  const title = "Bandwidth limits beside a tbf qdisc and a plain token bucket";
  await publish({ name: "limits", title, findings, samples, notes, charts: charts(samples) }, context);
  return findings;
}

async function podPath(stage: Stage): Promise<Path> {
  const endpoints = await stage.get<{ name: string; netns: string }>("endpoints");
  const netns = (name: string): string => endpoints.find((endpoint) => endpoint.name === name)?.netns ?? "";
  return { from: netns("a"), to: netns("b"), address: stage.ip("b", 4) };
}

/** Limits pod a's egress like a user does; resolves once the limit is in force. */
async function limitPod(stage: Stage, rate: number): Promise<() => void> {
  const annotations = { "kubernetes.io/egress-bandwidth": String(rate) };
  await stage.applyText(stringify(podObject({ name: "a", node: "node-1", annotations })));
  return () => {};
}

/** Limits the path over a bridge by another method. */
async function limitPath(method: Method, path: Path, rate: number, context: BenchContext): Promise<() => void> {
  if (method === "token bucket") return attachBucket(path, rate, context);
  const burst = Math.max(2 * (MTU + 14), Math.round(rate / 8 / 250));
  const limit = burst + Math.round((rate / 8) * 0.02);
  const root = { handle: handle(1), parent: TC_ROOT };
  changeTc("eth0", [{ op: "set", kind: "tbf", ...root, rate, burst, limit }], path.from);
  return () => changeTc("eth0", [{ op: "remove", kind: "qdisc", ...root }], path.from);
}

function attachBucket(path: Path, rate: number, context: BenchContext): () => void {
  const file = join(objectsFolder(context), "bucket.bpf.o");
  const object: BpfObject = loadObject(file, { rodata: { weir_bucket_rate: BigInt(rate) } });
  const link = inNamespace(path.to, () => attachDevice(object.program("weir_bucket"), ifindexOf("eth0"), "ingress"));
  return () => {
    inNamespace(path.to, () => link.detach());
    link.close();
    object.close();
  };
}

async function measure(method: Sample["method"], rate: number, path: Path, seconds: number): Promise<Sample> {
  const before = deniedMs();
  const run = await iperf(path, seconds);
  const onWire = (bits: number): number => layer3(bits, MTU, 4, "tcp");
  return {
    method,
    rate,
    measured: onWire(goodput(run, 1)),
    firstSecond: onWire(firstSecond(run)),
    retransmits: run.retransmits,
    denied: deniedMs() - before,
    intervals: run.intervals,
  };
}

/**
 * Uses the receiver's own report: under a plain token bucket iperf3's control connection starves too, and the sender
 * often ends without a report.
 */
async function iperf({ from, to, address }: Path, seconds: number): Promise<Run> {
  const server = start(["nsenter", `--net=${to}`, "--", "iperf3", "-s", "-1", "-J", "-p", String(PORT)]);
  const options = ["-p", String(PORT), "-t", String(seconds), "-C", "cubic", "-J"];
  const client = ["nsenter", `--net=${from}`, "--", "iperf3", "-c", address, ...options];
  try {
    for (let tries = 0; ; tries++) {
      const sent = await attempt(client, { timeout: (seconds + 30) * 1000 });
      if (sent.stdout.includes("Connection refused") && tries < 40) {
        await sleep(50);
        continue;
      }
      const received = await Promise.race([server.ended, sleep(5000).then(() => undefined)]);
      return parseRun((received ?? (await server.stop())).stdout, sent.stdout);
    }
  } finally {
    await server.stop();
  }
}

const Sum = z.object({ start: z.number(), end: z.number(), bytes: z.number() });
const Received = z.object({ intervals: z.array(z.object({ sum: Sum })) });
const Sent = z.object({ end: z.object({ sum_sent: z.object({ retransmits: z.number() }).optional() }) });

function parseRun(received: string, sent: string): Run {
  const { intervals } = Received.parse(JSON.parse(received));
  const sender = Sent.safeParse(JSON.parse(sent));
  return {
    intervals: intervals.map(({ sum: { start: begin, end, bytes } }) => ({ start: begin, end, bytes })),
    retransmits: sender.success ? (sender.data.end.sum_sent?.retransmits ?? 0) : 0,
  };
}

/** CPU time that the hypervisor gave to others since boot, ms, sum of all cores: `steal` of /proc/stat. */
function deniedMs(): number {
  const [, , , , , , , , steal = "0"] = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.split(/\s+/) ?? [];
  return Number(steal) * 10;
}

const percent = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(3)} %`;

function judgeSample(
  { method, rate, measured, firstSecond: first, retransmits, denied }: Sample,
  carried: number,
): Finding {
  const error = measured / rate - 1;
  const what = `${rateText(rate)} ${method}`;
  const rest = `first second ${percent(first / rate - 1)}, ${retransmits} retransmitted`;
  const text = `${percent(error)}, ${rest}${denied > 0 ? `, CPU denied ${denied} ms` : ""}`;
  const tolerance = rate >= 10 * MBIT ? 0.005 : 0.02;
  const target = `±${100 * tolerance} %, first second ≤ +5 %`;
  if (method !== "Weir") return { what, measured: text, target: "", verdict: "shown" };
  if (carried < 1.02 * rate) {
    return { what, measured: `${text}; unlimited ${rateText(carried)}`, target, verdict: "shown" };
  }
  return judge(what, text, target, Math.abs(error) <= tolerance && first <= 1.05 * rate);
}

/** Charts of the measured rate by the configured one, and of its error, where methods differ by orders of magnitude. */
function charts(samples: readonly Sample[]): Record<string, TopLevelSpec> {
  const values = samples
    .filter(({ rate }) => rate > 0)
    .map(({ method, rate, measured }) => ({
      method,
      configured: rate / MBIT,
      measured: measured / MBIT,
      error: 100 * (measured / rate - 1),
    }));
  const x = { field: "configured", type: "quantitative", scale: { type: "log" }, title: "configured, Mbit/s" } as const;
  const color = { field: "method", type: "nominal", sort: [...METHODS], title: null } as const;
  const common = { data: { values }, width: 520, height: 320 };
  const mark = { type: "line", point: true } as const;
  const y = { field: "measured", type: "quantitative", scale: { type: "log" }, title: "measured, Mbit/s" } as const;
  const error = {
    field: "error",
    type: "quantitative" as const,
    scale: { type: "symlog" as const, constant: 0.1 },
    axis: { values: [-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100], format: "+~g" },
    title: "error, %",
  };
  return {
    limits: { ...common, title: "Measured rate of one TCP flow", mark, encoding: { x, color, y } },
    "limits-error": { ...common, title: "Error of the rate", mark, encoding: { x, color, y: error } },
  };
}
