import { describe, expect, test } from "vitest";
import { binomialInterval, binomialTest, chiSquaredTest } from "./statistics.ts";

describe("binomialTest", () => {
  // sums of all masses that are at most as large, by an independent program
  test.each([
    [3, 20, 0.3, 0.2204182673807094],
    [10, 20, 0.3, 0.0834450296298122],
    [20, 20, 0.9, 0.25452997802490435],
    [0, 1000, 0.002, 0.2777602835419288],
    [520, 10_000, 0.05, 0.3587338010237245],
    [1070, 100_000, 0.01, 0.027169016756131713],
    [49_500, 100_000, 0.5, 0.0015823598790767092],
    [1080, 100_000_000, 1e-5, 0.012467266694530882],
  ])("%d of %d at %d", (hits, trials, p, expected) => {
    expect(binomialTest(hits, trials, p) / expected).toBeCloseTo(1, 5);
  });

  test.each([
    [0, 10, 0, 1],
    [1, 10, 0, 0],
    [10, 10, 1, 1],
    [0, 0, 0.5, 1],
  ])("%d of %d at %d, where all is certain", (hits, trials, p, expected) => {
    expect(binomialTest(hits, trials, p)).toBe(expected);
  });

  test.each([
    [-1, 10],
    [11, 10],
    [0.5, 10],
    [1, Number.NaN],
  ])("%d of %d are no counts", (hits, trials) => {
    expect(() => binomialTest(hits, trials, 0.5)).toThrow(RangeError);
  });
});

describe("binomialInterval", () => {
  test.each([
    // Clopper and Pearson 1934; 1 − α^(1/n) where there are no hits
    [0, 10, 0, 0.3084971],
    [10, 10, 0.6915029, 1],
    [5, 10, 0.187086, 0.812914],
    [2, 100_000, 2.4221e-6, 7.22465e-5],
  ])("%d of %d", (hits, trials, low, high) => {
    const found = binomialInterval(hits, trials);
    expect(Math.abs(found[0] - low)).toBeLessThan(1e-3 * low + 1e-9);
    expect(Math.abs(found[1] - high)).toBeLessThan(1e-3 * high + 1e-9);
  });

  test("nothing is known of no trials", () => {
    expect(binomialInterval(0, 0)).toEqual([0, 1]);
  });
});

describe("chiSquaredTest", () => {
  // tables of the distribution's upper tail
  test.each([
    [[550, 450], [0.5, 0.5], 0.0015654],
    [[25, 35, 40], [1 / 3, 1 / 3, 1 / 3], 0.173774],
    [[10, 10, 10, 10, 60], [0.2, 0.2, 0.2, 0.2, 0.2], 9.83662422461598e-21],
    [[20, 20, 20, 20, 20], [0.2, 0.2, 0.2, 0.2, 0.2], 1],
  ])("%o at %o", (counts, probabilities, expected) => {
    expect(chiSquaredTest(counts, probabilities) / expected).toBeCloseTo(1, 2);
  });

  test("what is rarely expected is taken together", () => {
    expect(chiSquaredTest([90, 9, 1, 0, 0], [0.9, 0.09, 0.009, 0.0009, 0.0001])).toBeCloseTo(1, 9);
    expect(chiSquaredTest([1, 1], [0.5, 0.5])).toBe(1);
  });
});
