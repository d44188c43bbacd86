import { expect, test } from "vitest";
import { pairedRatio, quantile, spread } from "./stats.ts";

test("pairs that all have one ratio have no margin", () => {
  const ratio = pairedRatio([1, 2, 3].map((b) => [1.25 * b, b] as const));
  expect(ratio.pairs).toBe(3);
  for (const value of [ratio.mean, ratio.lower, ratio.upper]) expect(value).toBeCloseTo(1.25);
});

test("the bounds are Student's", () => {
  // logs ±ln 1.1, mean 0, s = √2 · ln 1.1, t(1) = 6.314
  const ratio = pairedRatio([
    [1.1, 1],
    [1, 1.1],
  ]);
  expect(ratio.mean).toBeCloseTo(1);
  expect(ratio.lower).toBeCloseTo(Math.exp(-6.314 * Math.log(1.1)), 6);
  expect(ratio.upper).toBeCloseTo(1 / ratio.lower, 6);
});

test.each([
  [[[1, 1]]],
  [
    [
      [1, 1],
      [0, 1],
    ],
  ],
] as [number, number][][][])("refuses %j", (pairs) => {
  expect(() => pairedRatio(pairs)).toThrow(RangeError);
});

test("quantiles by nearest rank", () => {
  const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
  expect([0.5, 0.99, 1, 0].map((q) => quantile(sorted, q))).toEqual([50, 99, 100, 1]);
  expect(quantile([], 0.5)).toBeNaN();
  expect(spread([3, 1, 2])).toEqual({ count: 3, p50: 2, p90: 3, p99: 3, max: 3 });
});
