import { type Finding, judge } from "../report.ts";
import { pairedRatio, type Ratio, type Spread, spread } from "../stats.ts";
import type { Sample } from "./change.ts";
import type { Both, ChangeResult, RestResult, ScaleResult, StepResult, SyncResult } from "./results.ts";
import type { SceneName } from "./world.ts";

/** Highest allowed ratio to the other build's CPU time, with rules on many pods of one node. */
const MOST_OF_OTHER = 0.2;
/** Highest allowed CPU time at the 99th percentile in a large cluster, ms. */
const MOST_CPU = 5;
const MOST_START = 3;
/** Highest allowed resident memory, MB. */
const MOST_RESIDENT: Partial<Record<SceneName, number>> = { cluster: 140, small: 90 };
/** Highest allowed CPU time while nothing changes, per cent of a core. */
const MOST_IDLE = 0.3;
/** Smallest CPU time that can be distinguished from an idle agent's, ms. */
const LEAST_CPU = 0.05;

const SCENES: Readonly<Record<SceneName, string>> = {
  local: "pods with rules on one node",
  cluster: "a large cluster",
  small: "few pods",
};

/** All samples of a step, of each build. */
export function pooled({ rounds }: StepResult): Both<Sample[]> {
  const own = rounds.flatMap((round) => round.own);
  const others = rounds.flatMap((round) => round.other ?? []);
  return { own, other: others.length > 0 ? others : null };
}

/** Ratio of the CPU time of a change to the other build's, from the means of each round; undefined without another build. */
export function ratioOf({ rounds }: StepResult): Ratio | undefined {
  const pairs = rounds.flatMap(({ own, other }) => (other ? [[meanCpu(own), meanCpu(other)] as const] : []));
  return pairs.length > 1 ? pairedRatio(pairs) : undefined;
}

function meanCpu(samples: readonly Sample[]): number {
  const sum = samples.reduce((total, { cpu }) => total + cpu, 0);
  return Math.max(LEAST_CPU, sum / samples.length);
}

/** Times of changes that were observed in the kernel, and the number of those that were not. */
export function timesOf(samples: readonly Sample[]): Spread & { missing: number } {
  const seen = samples.flatMap(({ time }) => time ?? []);
  return { ...spread(seen), missing: seen.length === 0 ? 0 : samples.length - seen.length };
}

/** Findings of all results. Memory is judged by the highest value of all cases of a scene. */
export function judgeScale(results: readonly ScaleResult[]): Finding[] {
  const scenes = (Object.keys(SCENES) as SceneName[]).filter((name) => results.some(({ scene }) => scene === name));
  return scenes.flatMap((scene) => {
    const own = results.filter((one) => one.scene === scene);
    return [
      ...own.flatMap((one) => (one.kind === "change" ? judgeChanges(one) : [])),
      ...own.flatMap((one) => (one.kind === "sync" ? judgeStarts(one) : [])),
      ...own.flatMap((one) => (one.kind === "rest" ? [judgeIdle(one)] : [])),
      ...judgeMemory(scene, own),
    ];
  });
}

function judgeChanges({ scene, steps }: ChangeResult): Finding[] {
  return steps.flatMap((step) => {
    const { own, other } = pooled(step);
    const what = `${SCENES[scene]}: ${step.what}`;
    const cpu = (samples: readonly Sample[]): string => quantiles(spread(samples.map((one) => one.cpu)));
    const measured = `${cpu(own)}${other ? `, other build ${cpu(other)}` : ""}`;
    const { p99 } = spread(own.map((one) => one.cpu));
    const isBound = scene === "cluster";
    const times = timesOf(own);
    return [
      isBound
        ? judge(`${what}, CPU`, measured, `p99 ≤ ${MOST_CPU} ms`, p99 <= MOST_CPU)
        : shown(`${what}, CPU`, measured),
      ...judgeRatio(what, step, scene === "local"),
      shown(`${what}, CPU with what is reported of it`, quantiles(spread(own.map((one) => one.all)))),
      ...(times.count > 0 ? [shown(`${what}, until its last row`, timeText(times, other))] : []),
    ];
  });
}

function judgeRatio(what: string, step: StepResult, isBound: boolean): Finding[] {
  const ratio = ratioOf(step);
  if (!ratio) return [];
  const { mean, lower, upper } = ratio;
  const measured = `${mean.toFixed(3)} (${lower.toFixed(3)} to ${upper.toFixed(3)}) of the other build's`;
  const name = `${what}, CPU by turns`;
  return [isBound ? judge(name, measured, `≤ ${MOST_OF_OTHER}`, upper <= MOST_OF_OTHER) : shown(name, measured)];
}

function timeText(times: Spread & { missing: number }, other: readonly Sample[] | null): string {
  const lost = times.missing > 0 ? `, ${times.missing} not seen` : "";
  return `${quantiles(times)}${lost}${other ? `, other build ${quantiles(timesOf(other))}` : ""}`;
}

const quantiles = ({ p50, p99 }: Spread): string => `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms`;

function judgeStarts({ starts, scene }: SyncResult): Finding[] {
  const tell = (all: SyncResult["starts"]["own"]): string => {
    const most = (of: (one: (typeof all)[number]) => number): number => Math.max(...all.map(of));
    const seconds = most((one) => one.seconds).toFixed(2);
    return `${seconds} s, ${most((one) => one.cpuSeconds).toFixed(2)} s of CPU, ${most((one) => one.peakMB).toFixed(0)} MB`;
  };
  const holds = starts.own.every(({ seconds }) => seconds < MOST_START);
  const what = `${SCENES[scene]}: from the agent's start until all is in force, its CPU and memory, highest of ${starts.own.length}`;
  const measured = `${tell(starts.own)}${starts.other ? `, other build ${tell(starts.other)}` : ""}`;
  return [judge(what, measured, `< ${MOST_START} s`, holds)];
}

function judgeIdle({ scene, seconds, idlePercent: { own, other } }: RestResult): Finding {
  const what = `${SCENES[scene]}: CPU while nothing changes, ${seconds} s`;
  const measured = `${own.toFixed(2)} %${other === null ? "" : `, other build ${other.toFixed(2)} %`}`;
  return judge(what, measured, `< ${MOST_IDLE} % of a core`, own < MOST_IDLE);
}

function judgeMemory(scene: SceneName, results: readonly ScaleResult[]): Finding[] {
  const of = (name: "own" | "other"): number[] =>
    results.flatMap((one) => (one.kind === "sync" ? [] : (one.residentMB[name] ?? [])));
  const [own, other] = [of("own"), of("other")];
  if (own.length === 0) return [];
  const highest = Math.max(...own);
  const beside = other.length > 0 ? `, other build ${Math.max(...other).toFixed(1)} MB` : "";
  const measured = `${highest.toFixed(1)} MB${beside}`;
  const what = `${SCENES[scene]}: resident memory, highest`;
  const most = MOST_RESIDENT[scene];
  return [most === undefined ? shown(what, measured) : judge(what, measured, `≤ ${most} MB`, highest <= most)];
}

const shown = (what: string, measured: string): Finding => ({ what, measured, target: "–", verdict: "shown" });
