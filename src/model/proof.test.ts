import { describe, expect, test } from "vitest";
import type { Burst } from "./bursts.ts";
import { judgeBurstLength, judgeBurstLoss, judgeDelay, judgeRate, judgeShare } from "./proof.ts";

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
  expect(judgeShare(lost, packets, expected).verdict).toBe(verdict);
});

test("the interval shown is the exact one of 95 %", () => {
  // 1 − 0.025^(1/n), where nothing is lost
  const { low, high } = judgeShare(0, 1000, 0);
  expect(low).toBe(0);
  expect(high).toBeCloseTo(1 - 0.025 ** (1 / 1000), 8);
});

describe("bursts", () => {
  // 4.76 % in rows of 5; of 100,000 packets one deviation is 203, three times that of independent losses
  const loss: Burst = { model: "burst", p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 };
  test.each([
    [0, 0, "open"],
    [100, 1000, "open"],
    [4762, 100_000, "proven"],
    [5300, 100_000, "proven"],
    [5700, 100_000, "refuted"],
    [3800, 100_000, "refuted"],
  ])("%d of %d lost is %s", (lost, packets, verdict) => {
    expect(judgeBurstLoss(lost, packets, loss).verdict).toBe(verdict);
  });

  test.each([
    [0, 0, "open"],
    [9, 45, "open"],
    [952, 4762, "proven"],
    [1200, 4762, "refuted"],
    [4700, 4762, "refuted"],
    [700, 4762, "refuted"],
  ])("%d rows of %d losses are %s", (bursts, lost, verdict) => {
    const judged = judgeBurstLength(bursts, lost, loss);
    expect(judged.verdict).toBe(verdict);
    expect(judged.expected).toBeCloseTo(5, 9);
  });

  test("the interval of the length holds what was measured", () => {
    const { low, high, measured } = judgeBurstLength(952, 4762, loss);
    expect(measured).toBeCloseTo(5.002, 3);
    expect(low).toBeGreaterThan(4.6);
    expect(low).toBeLessThan(5);
    expect(high).toBeGreaterThan(5.01);
    expect(high).toBeLessThan(5.4);
  });

  test("lengths are not judged where the good state loses packets too", () => {
    expect(judgeBurstLength(952, 4762, { ...loss, lossGood: 0.01 })).toMatchObject({ verdict: "open" });
  });
});

test.each([
  [null, 0, "open"],
  [0.05, 5, "open"],
  [0.05, 20, "open"],
  [0.0502, 2000, "proven"],
  [0.0535, 100_000, "refuted"],
  [0, 100_000, "refuted"],
])("a mean delay of %s s of %d packets where 50 ± 10 ms is asked for is %s", (mean, packets, verdict) => {
  expect(judgeDelay(mean, packets, { base: 0.05, jitter: 0.01 }).verdict).toBe(verdict);
});

test.each([
  [null, "open"],
  [5e6, "open"],
  [9.6e6, "proven"],
  [10.4e6, "proven"],
  [10.6e6, "refuted"],
])("%s bit/s at a limit of 10 Mbit/s is %s", (measured, verdict) => {
  expect(judgeRate(measured === null ? [] : [measured], 10e6).verdict).toBe(verdict);
});

/** Counted beside busy seconds of `mean` bit/s: packets of 1,000 bytes sent and dropped. */
test.each([
  ["below it, nothing dropped", [5e6], 1000, 0, "open", /stayed below the limit$/],
  ["below it, some of it dropped in bursts", [8e6], 1000, 10, "open", /over it for a moment/],
  ["below it, though twice as much was offered", [8e6], 1000, 1500, "refuted", /though more was offered/],
  ["at it, most of what came dropped", [9.9e6], 1000, 1000, "proven", null],
  ["above it, and dropped all the same", [12e6], 1000, 10, "refuted", /more passed/],
  ["no busy second, all dropped", [], 0, 10, "refuted", /dropped all/],
  ["no busy second, some dropped", [], 10, 10, "open", /no traffic filled/],
  ["no traffic", [], 0, 0, "open", /no traffic filled/],
] as const)("a limit of 10 Mbit/s that met traffic %s", (_what, rates, sent, dropped, verdict, reason) => {
  const amount = (packets: number) => ({ packets, bytes: packets * 1000 });
  const judged = judgeRate(rates, 10e6, { sent: amount(sent), dropped: amount(dropped) });
  expect(judged.verdict).toBe(verdict);
  if (reason === null) expect(judged.reason).toBeNull();
  else expect(judged.reason).toMatch(reason);
});
