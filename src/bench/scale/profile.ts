import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Span } from "./measure.ts";

/** The fields of a `.cpuprofile` that are read. Times in µs of CLOCK_MONOTONIC. */
export interface CpuProfile {
  nodes: readonly {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: readonly number[];
  }[];
  startTime: number;
  samples: readonly number[];
  timeDeltas: readonly number[];
}

/** CPU time of one function in a span, ms: its own, and including its callees. */
export interface FunctionCost {
  name: string;
  self: number;
  total: number;
}

/** Entries that are not CPU time of a function. */
const NONE = new Set(["(idle)", "(root)"]);
const SHOWN = 25;

const folderOf = (out: string): string => join(out, "scale-profiles");

/**
 * Loaded into the agent. Profiles from the first SIGUSR2 on, and writes the profile at the end. Not from the start (`--cpu-prof`):
 * the profiler's signals would interrupt the kernel's verification of programs again and again.
 */
const HOOK = `
const { Session } = require("node:inspector");
const { writeFileSync } = require("node:fs");
process.once("SIGUSR2", () => {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: 1000 });
  session.post("Profiler.start");
  process.once("exit", () => session.post("Profiler.stop", (_, { profile }) => {
    writeFileSync(__dirname + "/" + process.pid + ".cpuprofile", JSON.stringify(profile));
  }));
});
`;
/** Starts an agent's profile that was started with `profiled`. */
export const PROFILE = "SIGUSR2";

/** The same command with a profiler that waits for `PROFILE`. */
export function profiled(weir: readonly string[], out: string): string[] {
  const folder = folderOf(out);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "hook.cjs"), HOOK);
  return ["env", `NODE_OPTIONS=--require ${JSON.stringify(join(folder, "hook.cjs"))}`, ...weir];
}

/** Costs of functions in a span, sorted by own time, descending. A sample's time is charged to the function that ran. */
export function costsIn(profile: CpuProfile, { from, to }: Pick<Span, "from" | "to">): FunctionCost[] {
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const costs = new Map<string, FunctionCost>();
  let time = profile.startTime / 1000;
  for (const [i, id] of profile.samples.entries()) {
    const ms = (profile.timeDeltas[i] ?? 0) / 1000;
    time += ms;
    if (time < from || time > to || NONE.has(names.get(id) ?? "")) continue;
    const own = costOf(costs, names.get(id) ?? "");
    own.self += ms;
    const stack = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) stack.add(names.get(at) ?? "");
    for (const name of stack) costOf(costs, name).total += ms;
  }
  return [...costs.values()].filter(({ name }) => !NONE.has(name)).toSorted((a, b) => b.self - a.self);
}

function costOf(costs: Map<string, FunctionCost>, name: string): FunctionCost {
  const known = costs.get(name) ?? { name, self: 0, total: 0 };
  costs.set(name, known);
  return known;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(anonymous)";
  return url === "" ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}

/** Writes the functions' CPU time of each kind of change to `scale-profile-SCENE.txt`. */
export function writeProfile(out: string, scene: string, spans: readonly Span[]): string {
  const files = readdirSync(folderOf(out)).filter((name) => name.endsWith(".cpuprofile"));
  const profiles = files.map((name) => JSON.parse(readFileSync(join(folderOf(out), name), "utf8")) as CpuProfile);
  const whats = [...new Set(spans.map(({ what }) => what))];
  const text = whats.map((what) => {
    const own = spans.filter((span) => span.what === what);
    const costs = own.flatMap((span) => profiles.flatMap((profile) => costsIn(profile, span)));
    return tableOf(
      what,
      merged(costs),
      own.reduce((sum, { changes }) => sum + changes, 0),
    );
  });
  const file = join(out, `scale-profile-${scene}.txt`);
  writeFileSync(file, text.join("\n"));
  return file;
}

function merged(costs: readonly FunctionCost[]): FunctionCost[] {
  const sums = new Map<string, FunctionCost>();
  for (const { name, self, total } of costs) {
    const sum = costOf(sums, name);
    sum.self += self;
    sum.total += total;
  }
  return [...sums.values()].toSorted((a, b) => b.self - a.self);
}

/** Table of ms per change: own time, and including callees. */
function tableOf(what: string, costs: readonly FunctionCost[], changes: number): string {
  const line = ({ name, self, total }: FunctionCost): string =>
    `${(self / changes).toFixed(2).padStart(9)} ${(total / changes).toFixed(2).padStart(9)}  ${name}`;
  const byTotal = costs.toSorted((a, b) => b.total - a.total);
  const sum = costs.reduce((all, { self }) => all + self, 0) / changes;
  return [
    `${what}: ${sum.toFixed(1)} ms a change of ${changes}, what is reported of it included`,
    "     self     total  by self time",
    ...costs.slice(0, SHOWN).map(line),
    "     self     total  by total time",
    ...byTotal.slice(0, SHOWN).map(line),
    "",
  ].join("\n");
}
