import { expect, test } from "vitest";
import { judgeLoss, judgeRate } from "./proof.ts";

test.each([
  [0, 0, 0.02, "open"],
  [0, 100, 0.02, "open"],
  [2013, 100_000, 0.02, "proven"],
  [2200, 100_000, 0.02, "refuted"],
  [1800, 100_000, 0.02, "refuted"],
  [0, 1000, 0.02, "refuted"],
  [50, 50, 1, "proven"],
  [49, 50, 1, "refuted"],
  [0, 1, 0, "proven"],
  [1, 1000, 0, "refuted"],
])("%d of %d lost where %d is asked for is %s", (lost, packets, expected, verdict) => {
  expect(judgeLoss(lost, packets, expected).verdict).toBe(verdict);
});

test("the interval is the exact one of 99.9 %", () => {
  // 1 − 0.0005^(1/n), where nothing is lost
  const { low, high } = judgeLoss(0, 1000, 0);
  expect(low).toBe(0);
  expect(high).toBeCloseTo(1 - 0.0005 ** (1 / 1000), 8);
});

test.each([
  [null, "open"],
  [5e6, "open"],
  [9.6e6, "proven"],
  [10.4e6, "proven"],
  [10.6e6, "refuted"],
])("%s bit/s at a limit of 10 Mbit/s is %s", (measured, verdict) => {
  expect(judgeRate(measured, 10e6).verdict).toBe(verdict);
});
