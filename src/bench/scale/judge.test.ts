import { expect, test } from "vitest";
import type { Sample } from "./change.ts";
import { judgeScale, ratioOf, timesOf } from "./judge.ts";
import type { ScaleResult, StepResult } from "./results.ts";

const sample = (cpu: number, time: number | null = null): Sample => ({ cpu, all: 2 * cpu, time });
const step = (...rounds: [own: number[], other: number[] | null][]): StepResult => ({
  what: "a limit's rate edited",
  rounds: rounds.map(([own, other]) => ({
    own: own.map((cpu) => sample(cpu)),
    other: other?.map((cpu) => sample(cpu)) ?? null,
  })),
});
const changes = (scene: "local" | "cluster", one: StepResult): ScaleResult => ({
  ...{ kind: "change", name: `${scene} rate`, scene, steps: [one], residentMB: { own: 80, other: null } },
});

test("a ratio is that of the rounds' means, with its bounds", () => {
  const ratio = ratioOf(step([[1, 3], [20]], [[2], [18, 22]], [[1.5, 2.5], [20]]));
  expect(ratio?.mean).toBeCloseTo(0.1);
  expect(ratio?.upper).toBeCloseTo(0.1);
  const noisy = ratioOf(step([[1], [20]], [[4], [20]], [[2], [20]]));
  expect(noisy?.mean).toBeCloseTo(0.1);
  expect(noisy?.upper).toBeGreaterThan(0.3);
});

test("there is no ratio without another build, and none of a single round", () => {
  expect(ratioOf(step([[1], null], [[1], null]))).toBeUndefined();
  expect(ratioOf(step([[1], [5]]))).toBeUndefined();
});

test("CPU times below the smallest measurable one count as that", () => {
  expect(ratioOf(step([[-0.2], [0.5]], [[0], [0.5]]))?.mean).toBeCloseTo(0.1);
});

test("with rules on many pods the upper bound of the ratio is judged, not its mean", () => {
  const of = (one: StepResult) =>
    judgeScale([changes("local", one)]).find(({ what }) => what.endsWith("CPU by turns"))?.verdict;
  expect(of(step([[2], [20]], [[2], [20]]))).toBe("holds");
  expect(of(step([[5], [20]], [[5], [20]]))).toBe("misses");
  expect(of(step([[1], [20]], [[4], [20]], [[2], [20]]))).toBe("misses");
});

test("in a large cluster CPU at the 99th percentile is judged", () => {
  const of = (one: StepResult) => judgeScale([changes("cluster", one)])[0]?.verdict;
  expect(of(step([[1, 2, 4.9], null]))).toBe("holds");
  expect(of(step([[1, 2, 5.1], null]))).toBe("misses");
});

test("changes whose rows were not observed are counted, except those that write no row", () => {
  expect(timesOf([sample(1, 8), sample(1, null), sample(1, 10)])).toMatchObject({ p50: 8, max: 10, missing: 1 });
  expect(timesOf([sample(1), sample(1)])).toMatchObject({ count: 0, missing: 0 });
});

test("memory is the highest of all cases of a scene", () => {
  const rest: ScaleResult = {
    ...{ kind: "rest", name: "cluster rest", scene: "cluster", seconds: 60 },
    ...{ idlePercent: { own: 0.31, other: null }, residentMB: { own: [70, 141, 90], other: null } },
  };
  const findings = judgeScale([rest, changes("cluster", step([[1], null]))]);
  const of = (word: string) => findings.find(({ what }) => what.includes(word));
  expect(of("resident memory")).toMatchObject({ measured: "141.0 MB", verdict: "misses" });
  expect(of("nothing changes")?.verdict).toBe("misses");
});

test("the slowest start is judged", () => {
  const start = (seconds: number) => ({ seconds, cpuSeconds: seconds, peakMB: 100 });
  const sync = (...all: number[]): ScaleResult => ({
    ...{ kind: "sync", name: "cluster sync", scene: "cluster", starts: { own: all.map(start), other: null } },
  });
  expect(judgeScale([sync(1, 2.9)])[0]?.verdict).toBe("holds");
  expect(judgeScale([sync(1, 3.1)])[0]?.verdict).toBe("misses");
});
