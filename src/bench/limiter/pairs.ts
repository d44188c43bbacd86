import { join } from "node:path";
import type { BenchContext } from "../context.ts";
import { caseName, type LimitCase, limitStage, runLoad, setLimits } from "../limit-case.ts";
import { selectCases } from "../matrix.ts";
import { type Finding, publish } from "../report.ts";
import type { Stage } from "../stage.ts";
import { holm, pairedT } from "../stats.ts";
import { MTU } from "./bed.ts";
import { Results } from "./results.ts";
import { sampleOf } from "./sample.ts";

/** Result of one run of a case: relative error of the rate, and median round trip, µs. */
interface Run {
  error: number;
  p50: number;
}
/** Alternating runs of one case. */
export interface PairsResult {
  name: string;
  pairs: { own: Run; other: Run }[];
}

/** Number of cases of each rate. */
const CASES = 4;
const PAIRS = 5;
const SECONDS = 10;
const SEED = 9;

/** Cases of the matrix, alternately under this build and another one (`--against`). */
export async function pairs(context: BenchContext): Promise<readonly Finding[]> {
  const { against, quick, only = [], sample = quick ? 1 : CASES, say, signal, out } = context;
  const seconds = context.seconds ?? (quick ? 4 : SECONDS);
  if (against === undefined) throw new Error("measure pairs: name another build (--against PATH/bin/weir)");
  const cases = choosePairs(selectCases(quick, only), sample);
  const files = quick ? "pairs-quick" : "pairs";
  const results = new Results<PairsResult>(join(out, `${files}.jsonl`));
  const missing = cases.filter((one) => !results.get(caseName(one)));
  say(`${cases.length} cases, ${cases.length - missing.length} done before (${results.file})`);
  if (missing.length > 0) {
    const other = await limitStage({ ...context, weir: [against] });
    try {
      const own = await limitStage(context);
      try {
        for (const one of missing) {
          signal.throwIfAborted();
          const result = await runPairs(own, other, one, { seconds, count: quick ? 2 : PAIRS });
          results.add(result);
          say(`${result.name}: ${tell(result)}`);
        }
      } finally {
        await own.down();
      }
    } finally {
      await other.down();
    }
  }
  const samples = cases.flatMap((one) => results.get(caseName(one)) ?? []);
  const findings = judgePairs(samples);
  const title = "Cases of the matrix, this build and another by turns";
  await publish({ name: files, title, findings, samples }, context);
  return findings;
}

/** Chooses `count` cases of each rate by a seed, always the same ones. */
export function choosePairs(cases: readonly LimitCase[], count: number): LimitCase[] {
  const rates = [...new Set(cases.map(({ rate }) => rate))];
  return rates.flatMap((rate) => {
    const all = cases.filter((one) => one.rate === rate);
    return sampleOf(all, count, SEED + rate); // other loads for each rate
  });
}

async function runPairs(
  own: Stage,
  other: Stage,
  one: LimitCase,
  { seconds, count }: { seconds: number; count: number },
): Promise<PairsResult> {
  const done: PairsResult["pairs"] = [];
  while (done.length < count) {
    const swapped = done.length % 2 === 1;
    const first = await runOne(swapped ? other : own, one, seconds);
    const second = await runOne(swapped ? own : other, one, seconds);
    done.push(swapped ? { own: second, other: first } : { own: first, other: second });
  }
  return { name: caseName(one), pairs: done };
}

async function runOne(stage: Stage, one: LimitCase, seconds: number): Promise<Run> {
  const { rate } = one;
  await setLimits(stage, {}); // empties the queue of the last run
  await setLimits(stage, { [one.direction]: rate });
  const result = await runLoad(stage, one, { seconds, mtu: MTU, rate });
  return { error: Math.abs(result.rate / rate - 1), p50: result.pingPong.p50 };
}

/** Differences below these are ignored: a tenth of a per cent, 50 µs. */
const LEAST: Run = { error: 0.001, p50: 50 };
const LEVEL = 0.05;

/**
 * Judges whether any figure is worse: paired t tests of both figures of all cases, at a joint level of 5 % by Holm's method.
 */
export function judgePairs(results: readonly PairsResult[]): Finding[] {
  const tests = results.flatMap((result) =>
    (["error", "p50"] as const).map((what) => {
      const differences = result.pairs.map(
        ({ own, other }) => Math.max(own[what], LEAST[what]) - Math.max(other[what], LEAST[what]),
      );
      return { result, what, p: pairedT(differences) };
    }),
  );
  const refused = holm(
    tests.map(({ p }) => p),
    LEVEL,
  );
  return results.map((result) => {
    const of = tests.flatMap((test, i) => (test.result === result ? [{ ...test, worse: refused[i] === true }] : []));
    const told = of.map(({ what, p }) => `${what} p ${p.toFixed(3)}`).join(", ");
    const worse = of.some((one) => one.worse);
    return {
      what: result.name,
      measured: `${tell(result)}; ${told}`,
      target: "no worse (Holm)",
      verdict: worse ? "misses" : "holds",
    };
  });
}

function tell({ pairs: all }: PairsResult): string {
  const mean = (of: (one: PairsResult["pairs"][number]) => number): number =>
    all.reduce((sum, one) => sum + of(one), 0) / all.length;
  const percents = [mean(({ own }) => own.error), mean(({ other }) => other.error)].map((e) => (100 * e).toFixed(3));
  const medians = [mean(({ own }) => own.p50), mean(({ other }) => other.p50)].map((p50) => p50.toFixed(0));
  return `off by ${percents[0]} % against ${percents[1]}, p50 ${medians[0]} µs against ${medians[1]}`;
}
