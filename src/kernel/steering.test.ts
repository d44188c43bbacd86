import { expect, test } from "vitest";
import { cpuMask } from "./steering.ts";

test.each([
  [1, "1"],
  [2, "3"],
  [32, "ffffffff"],
  [33, "1,ffffffff"],
  [40, "ff,ffffffff"],
  [100, "f,ffffffff,ffffffff,ffffffff"],
])("the mask of %d processors is %s", (count, mask) => {
  expect(cpuMask(count)).toBe(mask);
});
