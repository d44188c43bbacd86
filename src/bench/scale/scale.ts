import { join } from "node:path";
import type { BenchContext } from "../context.ts";
import { Results } from "../limiter/results.ts";
import { type Finding, publish } from "../report.ts";
import { CASES, type ScaleCase } from "./cases.ts";
import { costChart } from "./charts.ts";
import { judgeScale } from "./judge.ts";
import { type Plan, runChanges, runRest, runStarts, type Span } from "./measure.ts";
import { PROFILE, profiled, writeProfile } from "./profile.ts";
import type { Both, ScaleResult } from "./results.ts";
import { Site } from "./site.ts";
import { othersRoutes, type SceneName, SIZES, seedOf, World } from "./world.ts";

const FULL: Plan = { rounds: 6, turns: 17, seconds: 60, starts: 3 };
const QUICK: Plan = { rounds: 2, turns: 2, seconds: 2, starts: 1 };

/** The changes of each kind are divided among the rounds. */
export function planOf({ quick, changes }: Pick<BenchContext, "quick" | "changes">): Plan {
  const plan = quick ? QUICK : FULL;
  return changes === undefined ? plan : { ...plan, turns: Math.ceil(changes / plan.rounds) };
}

/** Time for which an agent's idle consumption is measured before its changes, ms. Includes the renewal of a lease. */
const WATCHED = { full: 22_000, quick: 2000 };

/**
 * CPU time of one change of an agent, from its real sources to the kernel, and of its start, its memory, and its idle CPU time: with
 * rules on many pods of one node, and in a large cluster.
 */
export async function scale(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, only = [], out, say } = context;
  const cases = CASES.filter(({ name }) => only.every((word) => name.split(" ").includes(word)));
  if (cases.length === 0) throw new Error(`measure scale: no case has all of ${only.join(", ")}`);
  const files = quick ? "scale-quick" : "scale";
  const results = new Results<ScaleResult>(join(out, `${files}.jsonl`));
  const missing = cases.filter(({ name }) => !results.get(name));
  say(`${cases.length} cases, ${cases.length - missing.length} done before (${results.file})`);
  for (const scene of ["small", "local", "cluster"] as const) {
    const own = missing.filter((one) => one.scene === scene);
    if (own.length > 0) await runScene(scene, own, results, context);
  }
  const samples = cases.flatMap(({ name }) => results.get(name) ?? []);
  const findings = judgeScale(samples);
  const changed = samples.flatMap((one) => (one.kind === "change" ? one : []));
  const charts = Object.fromEntries(
    [...new Set(changed.map(({ scene }) => scene))].flatMap((scene) => [
      [`${files}-${scene}-cpu`, costChart(changed, scene, "cpu")] as const,
      [`${files}-${scene}-time`, costChart(changed, scene, "time")] as const,
    ]),
  );
  const notes = [
    "CPU is that of the agent's threads, from the event until its rows are in the kernel; what it uses anyway is taken off.",
    "Times are from the API server's event to the last row that the kernel's maps show.",
  ];
  await publish({ name: files, title: "What a change costs at scale", findings, samples, notes, charts }, context);
  return findings;
}

/** Starts each build's agent in a scene and runs the scene's cases. */
async function runScene(
  scene: SceneName,
  cases: readonly ScaleCase[],
  results: Results<ScaleResult>,
  context: BenchContext,
): Promise<void> {
  const { quick, against, weir, env, profile, out, say } = context;
  const size = SIZES[scene][quick ? "quick" : "full"];
  const spans: Span[] = [];
  const prepare = async (command: readonly string[], label: string): Promise<World> => {
    const cluster = { seed: seedOf(size), routes: othersRoutes(size) };
    return new World(await Site.prepare({ command, env, label: `${scene}-${label}`, ...cluster }), size);
  };
  const own = await prepare(profile ? profiled(weir, out) : weir, "own");
  let other: World | null = null;
  try {
    if (against !== undefined) other = await prepare([against], "other");
    await runCases(cases, { own, other }, { results, context, onSpan: (span) => void spans.push(span) });
  } finally {
    await other?.site.down();
    await own.site.down();
  }
  if (profile) say(`functions by their time: ${writeProfile(out, scene, spans)}`);
}

async function runCases(
  cases: readonly ScaleCase[],
  worlds: Both<World>,
  { results, context, onSpan }: { results: Results<ScaleResult>; context: BenchContext; onSpan: (span: Span) => void },
): Promise<void> {
  const { quick, signal, say } = context;
  const plan = planOf(context);
  const all = worlds.other ? [worlds.own, worlds.other] : [worlds.own];
  const done = (result: ScaleResult): void => {
    results.add(result);
    for (const { what, measured, verdict } of judgeScale([result])) say(`${what}: ${measured}: ${verdict}`);
  };
  const [sync] = cases.filter((one) => one.kind === "sync");
  if (sync) done(await runStarts(sync, worlds, plan, signal));
  else await Promise.all(all.map(({ site }) => site.start(signal)));
  const rest = cases.filter((one) => one.kind !== "sync");
  if (rest.length === 0) return;
  const begin = performance.now();
  for (const world of all) await world.connect(signal);
  say(`${worlds.own.size.local} pods have their networks after ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  if (context.profile) worlds.own.site.signal(PROFILE);
  await Promise.all(all.map(({ site }) => site.rest(quick ? WATCHED.quick : WATCHED.full, signal)));
  for (const one of rest) {
    signal.throwIfAborted();
    if (one.kind === "rest") done(await runRest(one, worlds, plan, signal));
    else done(await runChanges(one, worlds, plan, { signal, onSpan }));
  }
}
