import { expect, test } from "vitest";
import { memo } from "./memo.ts";

test("computes anew only for another object or other arguments", () => {
  let calls = 0;
  const sum = memo((one: { n: number }, more: number) => {
    calls++;
    return { value: one.n + more };
  });
  const a = { n: 1 };
  const first = sum(a, 2);
  expect([sum(a, 2) === first, calls]).toEqual([true, 1]);
  expect([sum({ n: 1 }, 2) === first, calls]).toEqual([false, 2]);
  expect([sum(a, 3).value, calls]).toEqual([4, 3]);
  expect([sum(a, 2).value, calls]).toEqual([3, 4]);
});
