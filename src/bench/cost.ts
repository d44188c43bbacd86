import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { enableStatistics, inNamespace, type Program, runStatistics } from "../kernel/index.ts";
import type { BenchContext } from "./context.ts";
import { frame64 } from "./frame.ts";
import { type HopRow, Hops, OP, PASS_SLOT } from "./hops.ts";
import { objectsFolder } from "./objects.ts";
import type { Stage } from "./stage.ts";

/** Functions in a path: a number of copies of a function without effect, or of a limit; or the router, or none. */
export interface Shape {
  series: "nothing" | "direct" | "routed" | "hop" | "limit";
  copies: number;
}

/** Cost of a packet of 64 bytes in one turn. */
export interface Turn {
  /** ns of BPF programs per packet. */
  bpf: number;
  /** ns between two packets of a sender that does nothing else; null if nothing was sent. */
  wall: number | null;
}

/** Runs of one call of BPF_PROG_TEST_RUN: each decrements the TTL. */
const RUNS = 200;
const CALLS = 200;
/** Time after which packets that were sent before the path's change have passed, ms. */
const SETTLE = 20;
/** `WEIR_MARK_GONE`: weir_resume discards such a packet immediately. */
const GONE = 0x08000000;

/** Stops the node's agent, which would repair changed rows, calls `body`, which changes them, and restores everything. */
export async function withHops<T>(
  stage: Stage,
  context: BenchContext,
  body: (hops: Hops, path: Path) => Promise<T>,
): Promise<T> {
  const pid = (await stage.nodes())[0]?.agentPid;
  if (!pid) throw new Error("stop the agent: it does not run");
  const node = `/run/weir/labs/${stage.name}/bpf/weir/node-1`;
  const panel = readdirSync(node).find((name) => name.startsWith("abi-")) ?? "abi";
  const hops = new Hops({ panel: join(node, panel), objects: objectsFolder(context) });
  process.kill(pid, "SIGSTOP");
  try {
    return await body(hops, readPath(stage, hops));
  } finally {
    hops.close();
    process.kill(pid, "SIGCONT");
  }
}

/** The path from pod a to pod b as the agent configured it. */
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
  const rows = Array.from({ length: hops.chainHops }, (_, i) => hops.read(a + i));
  const chain = rows.slice(
    0,
    rows.findIndex(({ op }) => op !== OP.call),
  );
  const route = chain.at(-1);
  if (!route) throw new Error("read the path of pod a: its chain is empty");
  const direct = hops.read(b + hops.chainHops);
  return { first: a, chain, route, direct, ifindex: hops.read(a + hops.chainHops).target };
}

const PASS: HopRow = { op: OP.call, flags: 0, slot: PASS_SLOT, instance: 0, target: 0 };
const times = (row: HopRow, copies: number): HopRow[] => Array.from({ length: copies }, () => row);

/** Changes pod a's path to this shape. A limit's path still ends in the router. */
export function shape(hops: Hops, { first, chain, route, direct }: Path, { series, copies }: Shape): void {
  if (series === "nothing") return;
  if (series === "limit") hops.detour(first, [...times(limitOf(chain), copies), route]);
  else if (series === "hop") hops.detour(first, [...times(PASS, copies), direct]);
  else hops.end(first, series === "direct" ? direct : route);
}

function limitOf(chain: readonly HopRow[]): HopRow {
  const [limit] = chain;
  if (limit && chain.length === 2) return limit;
  throw new Error(`find the limit in pod a's chain: it has ${chain.length} functions`);
}

/** Mean cost of a packet of the running traffic over `ms`, from the kernel's run statistics. */
export async function overTraffic({ entry, resume }: Hops, ms: number): Promise<Turn> {
  const read = () => [entry, resume].map((program: Program) => runStatistics(program));
  const statistics = enableStatistics();
  try {
    await sleep(SETTLE);
    const before = read();
    const begin = performance.now();
    await sleep(ms);
    const after = read();
    const elapsed = (performance.now() - begin) * 1e6;
    const runs = (after[0]?.runs ?? 0) - (before[0]?.runs ?? 0);
    const spent = after.reduce((sum, { nanoseconds }, i) => sum + nanoseconds - (before[i]?.nanoseconds ?? 0), 0);
    if (runs < 1000) throw new Error(`measure the path: ${runs} packets in ${ms} ms are too few`);
    return { bpf: spent / runs, wall: elapsed / runs };
  } finally {
    statistics.close();
  }
}

/**
 * Cost of a frame from pod a to pod b in BPF_PROG_TEST_RUN with the node's own rows: the median of many short calls.
 * The target of a redirect receives nothing.
 */
export function inTestRun(stage: Stage, hops: Hops, { ifindex }: Path, { series }: Shape): Turn {
  const data = frame64(stage.ip("a", 4), stage.ip("b", 4));
  const program = series === "nothing" ? hops.resume : hops.entry;
  const ctx = series === "nothing" ? { ifindex, mark: GONE } : { ifindex };
  const calls = inNamespace(stage.nodeNetns("node-1"), () =>
    Array.from({ length: CALLS }, () => program.testRun({ data, ctx, repeat: RUNS }).durationNs),
  );
  return { bpf: calls.toSorted((a, b) => a - b)[CALLS / 2] as number, wall: null };
}
