import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { linearRegression, median } from "simple-statistics";
import type { TopLevelSpec } from "vega-lite";
import { stringify } from "yaml";
import { enableStatistics, inNamespace, type Program, runStatistics } from "../kernel/index.ts";
import type { BenchContext } from "./context.ts";
import { type HopRow, Hops, OP, PASS_SLOT } from "./hops.ts";
import { objectsFolder } from "./objects.ts";
import { podObject } from "./pods.ts";
import type { Finding } from "./report.ts";
import type { Stage } from "./stage.ts";

/** Sends packets of 64 bytes on the wire (18 of payload) as fast as it can. */
const FLOOD = `
const socket = require("node:dgram").createSocket("udp4"), bytes = Buffer.alloc(18);
socket.on("error", () => {});
const burst = () => { for (let i = 0; i < 64; i++) socket.send(bytes); setImmediate(burst); };
socket.connect(9, process.argv[1], burst);
`;
const PASSES = [0, 1, 2, 4, 8, 12, 16];
const LIMITS = [0, 1, 2, 4, 8];
const EGRESS = 16;

/** Copies of a function in the path, and what a packet cost. */
interface Sample {
  series: "hop" | "limit" | "hop, test run" | "direct" | "router";
  copies: number;
  /** ns of BPF programs a packet. */
  bpf: number;
  /** ns between two packets of a sender that does nothing else; null where nothing was sent. */
  wall: number | null;
}

/** Cost in ns a packet of 64 bytes: of a hop, of the router, of a limit. */
export async function costs(
  stage: Stage,
  context: BenchContext,
): Promise<{ findings: Finding[]; samples: Sample[]; notes: string[]; charts: Record<string, TopLevelSpec> }> {
  const rounds = context.quick ? 2 : 7;
  const ms = context.quick ? 150 : 500;
  const samples: Sample[] = [];
  const flood = stage.startExec("a", [process.execPath, "-e", FLOOD, stage.ip("b", 4)]);
  try {
    await withHops(stage, context, async (hops, path) => {
      context.say("cost of a hop and of the router");
      for (let i = 0; i < rounds; i++) samples.push(...(await passes(hops, path, ms)));
    });
    const object = podObject({ name: "a", node: "node-1", annotations: { "kubernetes.io/egress-bandwidth": "5G" } });
    await stage.applyText(stringify(object));
    await withHops(stage, context, async (hops, path) => {
      context.say("cost of a limit");
      for (let i = 0; i < rounds; i++) samples.push(...(await limits(hops, path, ms)));
    });
  } finally {
    await flood.stop();
  }
  await withHops(stage, context, async (hops, path) => {
    for (let i = 0; i < rounds; i++) samples.push(...testRuns(hops, path, stage.nodeNetns("node-1")));
  });
  const notes = [
    "ns are of 64-byte UDP packets in real traffic, by the kernel's run statistics; wall is the time between two packets of one busy sender.",
    "The router's cost is the difference between the path with it and one that delivers at once: a path cannot hold copies of it.",
  ];
  return { findings: findings(samples), samples, notes, charts: { "forward-cost": chart(samples) } };
}

/** Stops the node's agent, which would put changed rows right, lets `body` change them, and puts all back. */
export async function withHops(
  stage: Stage,
  context: BenchContext,
  body: (hops: Hops, path: Path) => Promise<void>,
): Promise<void> {
  const pid = (await stage.nodes())[0]?.agentPid;
  if (!pid) throw new Error("stop the agent: it does not run");
  const node = `/run/weir/labs/${stage.name}/bpf/weir/node-1`;
  const panel = readdirSync(node).find((name) => name.startsWith("abi-")) ?? "abi";
  const hops = new Hops({ panel: join(node, panel), objects: objectsFolder(context) });
  process.kill(pid, "SIGSTOP");
  const statistics = enableStatistics();
  try {
    await body(hops, readPath(stage, hops));
  } finally {
    statistics.close();
    hops.close();
    process.kill(pid, "SIGCONT");
  }
}

/** The path from pod a to pod b as the agent made it. */
export interface Path {
  /** First hop of a's chain. */
  first: number;
  /** Functions of the chain; the last is the router. */
  chain: readonly HopRow[];
  route: HopRow;
  /** Delivery to b, from a's port. */
  direct: HopRow;
  /** Interface index of a's device. */
  ifindex: number;
}

function readPath(stage: Stage, hops: Hops): Path {
  const [a, b] = ["a", "b"].map((name) => hops.ingress(`router:${stage.pod(name).device}`)) as [number, number];
  const rows = Array.from({ length: EGRESS }, (_, i) => hops.read(a + i));
  const chain = rows.slice(
    0,
    rows.findIndex(({ op }) => op !== OP.call),
  );
  const route = chain.at(-1);
  if (!route) throw new Error("read the path of pod a: its chain is empty");
  const direct = hops.read(b + EGRESS);
  return { first: a, chain, route, direct, ifindex: hops.read(a + EGRESS).target };
}

const PASS: HopRow = { op: OP.call, flags: 0, slot: PASS_SLOT, instance: 0, target: 0 };
const times = (row: HopRow, copies: number): HopRow[] => Array.from({ length: copies }, () => row);

async function passes(hops: Hops, { first, route, direct }: Path, ms: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const copies of PASSES) {
    hops.detour(first, [...times(PASS, copies), route]);
    samples.push({ series: "hop", copies, ...(await measure(hops, ms)) });
  }
  hops.detour(first, [direct]);
  samples.push({ series: "direct", copies: 0, ...(await measure(hops, ms)) });
  hops.detour(first, [route]);
  samples.push({ series: "router", copies: 1, ...(await measure(hops, ms)) });
  return samples;
}

async function limits(hops: Hops, { first, chain, route }: Path, ms: number): Promise<Sample[]> {
  const [limit] = chain;
  if (!limit || chain.length !== 2)
    throw new Error(`find the limit in pod a's chain: it has ${chain.length} functions`);
  const samples: Sample[] = [];
  for (const copies of LIMITS) {
    hops.detour(first, [...times(limit, copies), route]);
    samples.push({ series: "limit", copies, ...(await measure(hops, ms)) });
  }
  return samples;
}

async function measure({ entry, resume }: Hops, ms: number): Promise<{ bpf: number; wall: number }> {
  await sleep(50);
  const read = () => [entry, resume].map((program: Program) => runStatistics(program));
  const before = read();
  const begin = performance.now();
  await sleep(ms);
  const after = read();
  const elapsed = (performance.now() - begin) * 1e6;
  const runs = (after[0]?.runs ?? 0) - (before[0]?.runs ?? 0);
  const spent = after.reduce((sum, { nanoseconds }, i) => sum + nanoseconds - (before[i]?.nanoseconds ?? 0), 0);
  if (runs < 1000) throw new Error(`measure the path: ${runs} packets in ${ms} ms are too few`);
  return { bpf: spent / runs, wall: elapsed / runs };
}

/** The same chains in BPF_PROG_TEST_RUN, ending in a drop: nothing is sent and the packet stays as it is. */
function testRuns(hops: Hops, { first, ifindex }: Path, netns: string): Sample[] {
  const down: HopRow = { ...PASS, op: OP.down };
  const data = Buffer.alloc(64);
  return PASSES.map((copies) => {
    hops.detour(first, [...times(PASS, copies), down]);
    const run = () => hops.entry.testRun({ data, ctx: { ifindex }, repeat: 20_000 }).durationNs;
    return { series: "hop, test run", copies, bpf: inNamespace(netns, run), wall: null };
  });
}

/** Medians by number of copies. */
function medians(samples: readonly Sample[], series: Sample["series"], field: "bpf" | "wall"): [number, number][] {
  const of = samples.filter((sample) => sample.series === series);
  const copies = [...new Set(of.map((sample) => sample.copies))];
  return copies.map((n) => [n, median(of.filter((one) => one.copies === n).map((one) => one[field] ?? Number.NaN))]);
}

function findings(samples: readonly Sample[]): Finding[] {
  const slope = (series: Sample["series"], field: "bpf" | "wall"): string =>
    `${linearRegression(medians(samples, series, field)).m.toFixed(1)} ns`;
  const at = (series: Sample["series"]): number => medians(samples, series, "bpf")[0]?.[1] ?? Number.NaN;
  const shown = (what: string, measured: string): Finding => ({ what, measured, target: "–", verdict: "shown" });
  return [
    shown("a hop, slope over 0 to 16 copies in real traffic", `${slope("hop", "bpf")} (wall ${slope("hop", "wall")})`),
    shown("a hop, slope over 0 to 16 copies in BPF_PROG_TEST_RUN", slope("hop, test run", "bpf")),
    shown("entry and delivery without a function", `${at("direct").toFixed(1)} ns`),
    shown("router", `${(at("router") - at("direct")).toFixed(1)} ns`),
    shown(
      "limit (HTB and its device pair), slope over 0 to 8 copies",
      `${slope("limit", "bpf")} in BPF, ${slope("limit", "wall")} in all`,
    ),
  ];
}

function chart(samples: readonly Sample[]): TopLevelSpec {
  const values = samples.filter(({ series }) => series !== "direct" && series !== "router");
  const x = { field: "copies", type: "quantitative", title: "copies in the path" } as const;
  const y = { field: "bpf", type: "quantitative", title: "ns of BPF a packet" } as const;
  const color = { field: "series", type: "nominal", title: null } as const;
  return {
    title: "Cost of a function, 64-byte packets",
    width: 480,
    height: 320,
    data: { values },
    layer: [
      { mark: { type: "point", filled: true, opacity: 0.4 }, encoding: { x, y, color } },
      {
        transform: [{ regression: "bpf", on: "copies", groupby: ["series"] }],
        mark: "line",
        encoding: { x, y, color },
      },
    ],
  };
}
