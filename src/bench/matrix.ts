import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { wallClock } from "../kernel/index.ts";
import type { BenchContext } from "./context.ts";
import {
  caseName,
  LIMITED,
  type LimitCase,
  type Load,
  type LoadResult,
  limitStage,
  pingGap,
  rateText,
  runLoad,
  setLimits,
} from "./limit-case.ts";
import { pingPong, type Trips } from "./pingpong.ts";
import { type Finding, judge, publish } from "./report.ts";
import type { Stage } from "./stage.ts";
import { LEAST_GAP_MS } from "./traffic/gaps.ts";
import { schedulingGaps } from "./traffic/traffic.ts";

const MTU = 1450;
/** Length of one case, s. */
const SECONDS = 30;
const RATES = [1e6, 3e6, 10e6, 37e6, 100e6, 300e6, 650e6, 1e9, 4e9, 5e9];
const HOW = [
  { protocol: "tcp", congestion: "cubic", flows: 1 },
  { protocol: "tcp", congestion: "cubic", flows: 8 },
  { protocol: "tcp", congestion: "bbr", flows: 1 },
  { protocol: "tcp", congestion: "bbr", flows: 8 },
  { protocol: "udp", flows: 1 },
] as const;

/** A case's result, and that of the same load without the limit. */
export interface CaseResult extends LimitCase {
  name: string;
  result: LoadResult;
  /** The same load without a limit, shorter; measured once for all rates of a `matrix.jsonl`. */
  unlimited: LoadResult;
  /** Round trips without limit and load, at the same interval. */
  idle: Trips;
  /** The longest time until second 6 in which a processor did not run a due process, ms; 0: none over 20. */
  earlyGap?: number | undefined;
}

function cases(rates: readonly number[], loads: readonly Load[]): LimitCase[] {
  return rates.flatMap((rate) => loads.map((load) => ({ ...load, rate })));
}

function loads(): Load[] {
  const directions = ["ingress", "egress"] as const;
  const places = ["same", "across"] as const;
  const families = [4, 6] as const;
  return places.flatMap((where) =>
    families.flatMap((family) =>
      directions.flatMap((direction) => HOW.map((how) => ({ where, family, direction, ...how }))),
    ),
  );
}

/** The cases of a run. With words: those whose names contain all of them. */
export function selectCases(quick: boolean, only: readonly string[]): LimitCase[] {
  const all = quick
    ? cases(
        [10e6, 1e9],
        loads().filter(({ family }) => family === 4),
      )
    : cases(RATES, loads());
  return all.filter((one) => only.every((word) => caseName(one).split(" ").includes(word)));
}

/** Every rate under every load. Results are appended to `matrix.jsonl` one by one; a run continues where the last one ended. */
export async function matrix(context: BenchContext): Promise<readonly Finding[]> {
  const { out, quick, say, seconds = quick ? 4 : SECONDS } = context;
  mkdirSync(out, { recursive: true });
  const file = join(out, quick ? "matrix-quick.jsonl" : "matrix.jsonl");
  const done = readResults(file);
  const all = selectCases(quick, context.only ?? []);
  if (all.length === 0) throw new Error(`measure matrix: no case has all of ${context.only?.join(", ")}`);
  const missing = all.filter((one) => !done.has(caseName(one)));
  say(`${all.length} cases, ${done.size} done before (${file})`);
  if (missing.length > 0) {
    const stage = await limitStage(context);
    try {
      await runCases(stage, missing, { quick, seconds, before: [...done.values()] }, (one) => {
        done.set(one.name, one);
        appendFileSync(file, `${JSON.stringify(one)}\n`);
        say(`${done.size}/${all.length} ${summary(one)}`);
      });
    } finally {
      await stage.down();
    }
  }
  const results = all.flatMap((one) => done.get(caseName(one)) ?? []);
  const findings = results.flatMap((one) => [...judgeCase(one), ...judgeEarly(one)]);
  await publish(
    { name: quick ? "matrix-quick" : "matrix", title: "Limits under every load", findings, samples: results },
    context,
  );
  return findings;
}

function readResults(file: string): Map<string, CaseResult> {
  if (!existsSync(file)) return new Map();
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line) as CaseResult).map((one) => [one.name, one]));
}

async function runCases(
  stage: Stage,
  missing: readonly LimitCase[],
  { quick, seconds, before }: { quick: boolean; seconds: number; before: readonly CaseResult[] },
  done: (result: CaseResult) => void,
): Promise<void> {
  const baselines = new Map(before.map((one) => [loadName(one), one.unlimited]));
  const idles = new Map(before.map((one) => [paceName(one), one.idle]));
  for (const { rate, ...load } of missing) {
    const key = loadName(load);
    const unlimited = baselines.get(key) ?? (await measureUnlimited(stage, load, quick));
    baselines.set(key, unlimited);
    const pace = paceName({ rate, ...load });
    const idle = idles.get(pace) ?? (await measureIdle(stage, load, rate, quick));
    idles.set(pace, idle);
    await setLimits(stage, {}); // empties the last case's queue, which has megabytes of TCP
    await setLimits(stage, { [load.direction]: rate });
    const gaps = await schedulingGaps();
    const begin = wallClock();
    const result = await runLoad(stage, load, { seconds, mtu: MTU, rate });
    const early = (await gaps.stop()).filter(({ end }) => end < begin + EARLY);
    const earlyGap = Math.max(0, ...early.map(({ ms }) => ms));
    done({ rate, ...load, name: caseName({ rate, ...load }), result, unlimited, idle, earlyGap });
  }
}

/** Until iperf3's second 6 has ended, µs: its start included. */
const EARLY = 7e6;

/** A load's name without its rate. */
const loadName = (load: Load): string => caseName({ ...load, rate: undefined });

/** A key for equal round-trip measurements without load. */
const paceName = ({ where, family, rate }: LimitCase): string => `${where} ${family} ${pingGap(rate)}`;

async function measureUnlimited(stage: Stage, load: Load, quick: boolean): Promise<LoadResult> {
  await setLimits(stage, {});
  return runLoad(stage, load, { seconds: quick ? 3 : 5, mtu: MTU });
}

/** At the same interval as with the load: a processor that has slept between two rounds answers later. */
async function measureIdle(stage: Stage, load: Load, rate: number, quick: boolean): Promise<Trips> {
  await setLimits(stage, {});
  const gap = pingGap(rate);
  return pingPong(stage, load.where, LIMITED, {
    ms: Math.max(quick ? 1000 : 3000, 50 * gap),
    gap,
    family: load.family,
  });
}

const percent = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(2)} %`;

function summary({ name, rate, result }: CaseResult): string {
  const { p50, p99 } = result.pingPong;
  return `${name}: ${percent(result.rate / rate - 1)}, first second ${percent(result.firstSecond / rate - 1)}, ping-pong ${p50.toFixed(0)}/${p99.toFixed(0)} µs`;
}

/**
 * Median round trips below this always pass, µs: two idle processes take as long to answer each other. The
 * kernels take 3 to 7 µs, so a factor of three is a few other packets on the same processor.
 */
const NOTICEABLE = 50;
/** From this rate BBR's four segments per round trip in ProbeRTT are too few, bit/s. */
const PAUSED = 1e9;
/** Smallest number of seconds without a pause for a verdict. */
const ENOUGH = 5;

/**
 * One finding per case, judged by the rate. Only shown: a rate that the machine cannot carry without the limit; and a
 * rate that BBR does not always offer, if the limit holds while it does: in ProbeRTT, 0.2 s in 10 s, BBR sends
 * four segments per round trip, which is less than several Gbit/s.
 */
export function judgeCase(one: CaseResult): Finding[] {
  const { name, rate, result, unlimited, idle } = one;
  const tolerance = rate >= 10e6 ? 0.005 : 0.02;
  const error = result.rate / rate - 1;
  const first = result.firstSecond / rate - 1;
  const { p50, p99 } = result.pingPong;
  const measured = `${percent(error)}, first second ${percent(first)}, p50 ${p50.toFixed(0)} µs (idle ${idle.p50.toFixed(0)}), p99 ${p99.toFixed(0)} µs`;
  const target = `±${100 * tolerance} %, ≤ +5 %${rate >= 10e6 ? `, ≤ 3 × idle or ${NOTICEABLE} µs, < 2000 µs` : ""}`;
  const trips = rate < 10e6 || (p50 <= Math.max(3 * idle.p50, NOTICEABLE) && p99 < 2000);
  const others = first <= 0.05 && trips;
  const holds = Math.abs(error) <= tolerance && others;
  if (!holds && unlimited.rate < 1.02 * rate) {
    const carries = `this machine carries ${rateText(unlimited.rate)}`;
    return [{ what: name, measured: `${measured}; ${carries}`, target, verdict: "shown" }];
  }
  const { unpaused } = result;
  if (others && rate >= PAUSED && error < -tolerance && unpaused !== undefined && unpaused.seconds >= ENOUGH) {
    const busy = unpaused.rate / rate - 1;
    const told = `${measured}; ${percent(busy)} in the ${unpaused.seconds} s without BBR's ProbeRTT`;
    return [{ what: name, measured: told, target, verdict: Math.abs(busy) <= tolerance ? "shown" : "misses" }];
  }
  return [judge(name, measured, target, holds)];
}

/**
 * Seconds 2 to 6, in which a limit's burst still shows; from 10 Mbit/s on. Only shown if a processor did not
 * run due processes for 20 ms or more, which delays packets.
 */
export function judgeEarly(one: CaseResult): Finding[] {
  const { name, rate, result, unlimited, earlyGap } = one;
  if (rate < 10e6 || result.early === undefined || earlyGap === undefined) return [];
  const error = result.early / rate - 1;
  const what = `${name}, seconds 2 to 6`;
  const target = `±${100 * EARLY_TOLERANCE} %`;
  if (Math.abs(error) <= EARLY_TOLERANCE) return [{ what, measured: percent(error), target, verdict: "holds" }];
  const excuses = [
    ...(earlyGap > LEAST_GAP_MS ? [`a processor stood still for ${earlyGap.toFixed(0)} ms`] : []),
    ...(unlimited.rate < 1.02 * rate ? [`this machine carries ${rateText(unlimited.rate)}`] : []),
  ];
  const measured = [percent(error), ...excuses].join("; ");
  return [{ what, measured, target, verdict: excuses.length > 0 ? "shown" : "misses" }];
}

const EARLY_TOLERANCE = 0.005;
