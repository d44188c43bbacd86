import { expect, test } from "vitest";
import { sampleOf, seeded } from "./sample.ts";

const items = Array.from({ length: 100 }, (_, i) => i);

test("a seed chooses the same items, another seed others; a smaller sample is part of a larger one", () => {
  expect(sampleOf(items, 20, 1)).toEqual(sampleOf(items, 20, 1));
  expect(sampleOf(items, 20, 1)).not.toEqual(sampleOf(items, 20, 2));
  expect(sampleOf(items, 20, 1).slice(0, 5)).toEqual(sampleOf(items, 5, 1));
});

test("no item twice, and no more than there are", () => {
  expect(sampleOf(items, 1000, 3).toSorted((a, b) => a - b)).toEqual(items);
});

test("numbers are spread over [0, 1)", () => {
  const random = seeded(7);
  const bins = Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const bin = Math.floor(10 * random());
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  expect(Math.min(...bins)).toBeGreaterThan(900);
});
