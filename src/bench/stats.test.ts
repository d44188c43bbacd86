import { expect, test } from "vitest";
import { holm, pairedRatio, pairedT, quantile, spread, upperT } from "./stats.ts";

test("pairs with equal ratios have equal bounds", () => {
  const ratio = pairedRatio([1, 2, 3].map((b) => [1.25 * b, b] as const));
  expect(ratio.pairs).toBe(3);
  for (const value of [ratio.mean, ratio.lower, ratio.upper]) expect(value).toBeCloseTo(1.25);
});

test("the bounds are those of Student's t", () => {
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

test.each([
  [0, 3, 0.5],
  [6.3138, 1, 0.05],
  [2.1318, 4, 0.05],
  [-2.1318, 4, 0.95],
  [4.6041, 4, 0.005],
  [1.6991, 29, 0.05],
])("P(T > %d) with %i degrees of freedom", (t, freedom, p) => {
  expect(upperT(t, freedom)).toBeCloseTo(p, 4);
});

test("a paired test: t of the differences' mean", () => {
  // mean 2, s = √2.5, t = 2 · √5 / √2.5 = 2.828 with 4 degrees
  expect(pairedT([0, 1, 2, 3, 4])).toBeCloseTo(upperT(2.8284, 4), 4);
  expect([pairedT([1, 1]), pairedT([0, 0]), pairedT([-1, -1])]).toEqual([0, 1, 1]);
  expect(() => pairedT([1])).toThrow("1 are too few");
});

test("Holm: the smallest p is compared with level / n, the next with level / (n - 1), and none after the first that is not rejected", () => {
  expect(holm([0.04, 0.01, 0.02], 0.05)).toEqual([true, true, true]);
  expect(holm([0.03, 0.01, 0.03], 0.05)).toEqual([false, true, false]);
  expect(holm([0.026, 0.0001], 0.05)).toEqual([true, true]);
  expect(holm([], 0.05)).toEqual([]);
});
