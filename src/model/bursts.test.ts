import { describe, expect, test } from "vitest";
import { type Burst, burstDistribution, burstTest, burstVariance, meanRun, runLengths } from "./bursts.ts";
import { lossProbability } from "./impair.ts";

const GILBERT: Burst = { model: "burst", p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 };
const ELLIOTT: Burst = { model: "burst", p: 0.1, r: 0.3, lossGood: 0.05, lossBad: 0.7 };

/** Probabilities of each number of losses, packet by packet. */
function stepwise({ p, r, lossGood, lossBad }: Burst, packets: number): number[] {
  let good = [1, ...Array<number>(packets).fill(0)];
  let bad = Array<number>(packets + 1).fill(0);
  const lose = (row: number[], loss: number) => row.map((one, k) => one * (1 - loss) + (row[k - 1] ?? 0) * loss);
  for (let i = 0; i < packets; i++) {
    const stay = good.map((one, k) => one * (1 - p) + (bad[k] ?? 0) * r);
    const turn = good.map((one, k) => one * p + (bad[k] ?? 0) * (1 - r));
    good = lose(stay, lossGood);
    bad = lose(turn, lossBad);
  }
  return good.map((one, k) => one + (bad[k] ?? 0));
}

describe("how many are lost", () => {
  test.each([
    [GILBERT, 1],
    [GILBERT, 64],
    [ELLIOTT, 100],
    [ELLIOTT, 255],
  ])("%o over %d packets is what adding up step by step gives", (loss, packets) => {
    const exact = stepwise(loss, packets);
    const found = burstDistribution(loss, packets);
    expect(found).toHaveLength(packets + 1);
    for (const [k, one] of found.entries()) expect(one).toBeCloseTo(exact[k] ?? Number.NaN, 13);
  });

  test("mean and variance over many packets are the long run's", () => {
    const found = burstDistribution(ELLIOTT, 20_000);
    const mean = found.reduce((sum, one, k) => sum + k * one, 0);
    const variance = found.reduce((sum, one, k) => sum + (k - mean) ** 2 * one, 0);
    expect(mean / 20_000 / lossProbability(ELLIOTT)).toBeCloseTo(1, 3);
    expect(variance / burstVariance(ELLIOTT, 20_000)).toBeCloseTo(1, 3);
  });

  test("without memory it is the binomial variance", () => {
    const loss: Burst = { model: "burst", p: 0, r: 0.5, lossGood: 0.1, lossBad: 1 };
    expect(burstVariance(loss, 1000)).toBeCloseTo(90, 9);
  });

  test("a count where it should be passes, one that only independent losses would hold does not", () => {
    expect(burstTest(952, 20_000, GILBERT)).toBeGreaterThan(0.9);
    expect(burstTest(1120, 20_000, GILBERT)).toBeGreaterThan(1e-2); // 5.6 binomial deviations
    expect(burstTest(1600, 20_000, GILBERT)).toBeLessThan(1e-8);
    expect(() => burstTest(11, 10, GILBERT)).toThrow(RangeError);
  });
});

describe("how many in a row", () => {
  test("geometric where the good state loses none", () => {
    const lengths = runLengths({ ...GILBERT, lossBad: 0.5 }, 6);
    const on = 0.8 * 0.5;
    expect(lengths).toHaveLength(6);
    for (let k = 0; k < 5; k++) expect(lengths[k]).toBeCloseTo(on ** k * (1 - on), 12);
    expect(lengths[5]).toBeCloseTo(on ** 5, 12);
    expect(meanRun(GILBERT)).toBeCloseTo(5, 12);
  });

  test("lengths and their mean agree where both states lose", () => {
    const lengths = runLengths(ELLIOTT, 200);
    expect(lengths.reduce((sum, one, k) => sum + (k + 1) * one, 0)).toBeCloseTo(meanRun(ELLIOTT), 9);
  });
});
