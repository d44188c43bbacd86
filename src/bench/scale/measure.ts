import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../meter.ts";
import type { ChangeCase, RestCase, Step, SyncCase } from "./cases.ts";
import { measureChange, type Sample } from "./change.ts";
import type { Both, ChangeResult, RestResult, StepResult, SyncResult } from "./results.ts";
import { changedMaps } from "./rows.ts";
import type { Start } from "./site.ts";
import type { World } from "./world.ts";

/** Numbers of rounds and changes, and durations. */
export interface Plan {
  rounds: number;
  /** Changes per build and round. */
  turns: number;
  /** Time for which an idle agent is measured, s. */
  seconds: number;
  starts: number;
}

/** Span in which this build was measured, ms of CLOCK_MONOTONIC. */
export interface Span {
  what: string;
  from: number;
  to: number;
  changes: number;
}

/** Changes of a kind that are not measured, at first. */
const WARM_UP = 2;

type Worlds = Both<World>;
const names = ["own", "other"] as const;

/** Makes the changes of a case alternately at each build. */
export async function runChanges(
  one: ChangeCase,
  worlds: Worlds,
  { rounds, turns }: Plan,
  { signal, onSpan }: { signal: AbortSignal; onSpan: (span: Span) => void },
): Promise<ChangeResult> {
  const { name, scene } = one;
  const own = await learn(one.steps, worlds.own);
  const other = worlds.other && (await learn(one.steps, worlds.other));
  const steps = one.steps.map(({ what }): StepResult => ({ what, rounds: [] }));
  for (let round = 0; round < rounds; round++) {
    const first = WARM_UP + round * turns;
    const at = { first, turns, signal };
    const runOwn = (): Promise<Sample[][]> =>
      runSteps(own, worlds.own, { ...at, onSpan: (span) => onSpan({ ...span, what: `${scene}: ${span.what}` }) });
    const runOther = async (): Promise<Sample[][] | null> =>
      other && worlds.other && runSteps(other, worlds.other, { ...at, onSpan: () => {} });
    const early = round % 2 === 1 ? await runOther() : null;
    const samples = await runOwn();
    const others = early ?? (await runOther());
    for (const [i, { rounds: done }] of steps.entries()) {
      done.push({ own: samples[i] ?? [], other: others?.[i] ?? null });
    }
  }
  const residentMB = { own: worlds.own.site.residentMB(), other: worlds.other?.site.residentMB() ?? null };
  return { kind: "change", name, scene, steps, residentMB };
}

/** A kind of change, and the maps that it writes. */
interface Learnt {
  step: Step;
  maps: ReadonlySet<string>;
}

/** Makes each kind of change a few times, so that its code is compiled, and records which maps it writes. */
async function learn(steps: readonly Step[], world: World): Promise<Learnt[]> {
  const learnt: Learnt[] = [];
  for (const step of steps) {
    const before = world.site.rows.digests();
    await runStep({ step, maps: new Set() }, world, { first: 0, turns: WARM_UP });
    learnt.push({ step, maps: changedMaps(before, world.site.rows.digests()) });
  }
  return learnt;
}

/** Makes `turns` changes of each kind, one kind after the other. */
async function runSteps(
  steps: readonly Learnt[],
  world: World,
  options: { first: number; turns: number; signal: AbortSignal; onSpan: (span: Span) => void },
): Promise<Sample[][]> {
  const { first, turns, signal, onSpan } = options;
  const all: Sample[][] = [];
  for (const one of steps) {
    signal.throwIfAborted();
    const from = monotonic();
    all.push(await runStep(one, world, { first, turns }));
    onSpan({ what: one.step.what, from, to: monotonic(), changes: turns });
  }
  return all;
}

async function runStep(
  { step, maps }: Learnt,
  world: World,
  { first, turns }: { first: number; turns: number },
): Promise<Sample[]> {
  const { site } = world;
  const digest = maps.size > 0 ? () => site.rows.digest(maps) : undefined;
  const agent = { cpu: () => site.cpu(), digest, idle: site.idle };
  const samples: Sample[] = [];
  for (let turn = first; turn < first + turns; turn++) {
    step.prepare?.(world, turn);
    samples.push(await measureChange(agent, () => step.make(world, turn)));
  }
  return samples;
}

/** Starts each build's agent several times. The last one keeps running. */
export async function runStarts(
  one: SyncCase,
  worlds: Worlds,
  { starts }: Plan,
  signal: AbortSignal,
): Promise<SyncResult> {
  const all: Both<Start[]> = { own: [], other: worlds.other ? [] : null };
  for (let turn = 0; turn < starts; turn++) {
    for (const name of turn % 2 === 1 ? names.toReversed() : names) {
      const world = worlds[name];
      if (!world) continue;
      await world.site.stop();
      all[name]?.push(await world.site.start(signal));
    }
  }
  return { kind: "sync", name: one.name, scene: one.scene, starts: all };
}

/** Measures idle agents. */
export async function runRest(
  one: RestCase,
  worlds: Worlds,
  { seconds }: Plan,
  signal: AbortSignal,
): Promise<RestResult> {
  const watch = async ({ site }: World) => {
    const before = { cpu: site.cpu(), time: performance.now() };
    const residentMB: number[] = [];
    for (let i = 0; i < seconds; i++) {
      await sleep(1000, undefined, { signal });
      residentMB.push(site.residentMB());
    }
    const percent = (100 * (site.cpu() - before.cpu)) / (performance.now() - before.time);
    return { percent, residentMB };
  };
  const [own, other] = await Promise.all([watch(worlds.own), worlds.other && watch(worlds.other)]);
  return {
    ...{ kind: "rest", name: one.name, scene: one.scene, seconds },
    idlePercent: { own: own.percent, other: other?.percent ?? null },
    residentMB: { own: own.residentMB, other: other?.residentMB ?? null },
  };
}
