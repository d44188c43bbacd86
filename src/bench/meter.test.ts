import { expect, test } from "vitest";
import { changeTime, monotonic, windowRate } from "./meter.ts";

/** Bins of 20 ms: 1000 bytes each until `change`, then 4000. */
const steps = (from: number, change: number, count = 100) =>
  Array.from({ length: count }, (_, i) => from + 20 * (i + 1)).map((time) => ({
    time,
    bytes: time <= change ? 1000 : 4000,
  }));

test("the rate between two times is that of the bins that end between them", () => {
  const bins = steps(0, 1000);
  expect(windowRate(bins, 100, 200)).toBeCloseTo(400_000);
  expect(windowRate(bins, 1100, 1200)).toBeCloseTo(1_600_000);
  expect(windowRate(bins, 1950, 2050)).toBeUndefined();
  expect(windowRate([], 0, 100)).toBeUndefined();
});

test.each([0, 300, 700])("a change after %i ms is found within half a window", async (delay) => {
  const now = monotonic();
  const bins = steps(now - 500, now + delay);
  const meter = { rate: (begin: number, end: number) => windowRate(bins, begin, end) };
  const found = await changeTime(meter, { begin: now, old: 400_000, wanted: 1_600_000, patience: 1000 });
  expect(Math.abs((found ?? Number.NaN) - delay)).toBeLessThanOrEqual(60);
});

test("without a change there is no time", async () => {
  const now = monotonic();
  const bins = steps(now - 500, now + 5000);
  const meter = { rate: (begin: number, end: number) => windowRate(bins, begin, end) };
  expect(await changeTime(meter, { begin: now, old: 400_000, wanted: 1_600_000, patience: 300 })).toBeUndefined();
});
