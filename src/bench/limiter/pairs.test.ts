import { expect, test } from "vitest";
import { caseName } from "../limit-case.ts";
import { selectCases } from "../matrix.ts";
import { choosePairs, judgePairs, type PairsResult } from "./pairs.ts";

/** Five pairs whose own error is `more` larger, and differs a little. */
const result = (name: string, more: number, p50 = 40): PairsResult => ({
  name,
  pairs: [1, 2, 3, 4, 5].map((i) => ({
    own: { error: 0.002 + more + i * 1e-5, p50 },
    other: { error: 0.002 - i * 1e-6, p50: 30 },
  })),
});
const verdicts = (results: PairsResult[]): string[] => judgePairs(results).map(({ verdict }) => verdict);

test("four cases of each rate are chosen, the same ones if only one rate is selected", () => {
  const all = choosePairs(selectCases(false, []), 4).map(caseName);
  expect(new Set(all).size).toBe(40);
  const some = choosePairs(selectCases(false, ["37M"]), 4).map(caseName);
  expect(all.filter((name) => name.startsWith("37M "))).toEqual(some);
});

test("a case that is worse in every pair misses; the others hold", () => {
  expect(verdicts([result("a", -0.0005), result("b", 0.01), result("c", -0.0003)])).toEqual([
    "holds",
    "misses",
    "holds",
  ]);
});

test("negligible differences are not worse; a longer median is", () => {
  const tiny = { own: { error: 0.0009, p50: 49 }, other: { error: 0.0001, p50: 10 } };
  expect(verdicts([{ name: "a", pairs: Array(5).fill(tiny) }])).toEqual(["holds"]);
  expect(verdicts([result("a", -0.001, 400)])).toEqual(["misses"]);
});
