import { expect, test } from "vitest";
import { firstDifference } from "./testing/compare.ts";

test.each([1, 2, 3, 4])("seed %d: planning incrementally equals planning from nothing", (seed) => {
  const difference = firstDifference(seed, 2_500, 25);
  expect(difference?.byChange, `change ${difference?.count}`).toEqual(difference?.fromNothing);
});
