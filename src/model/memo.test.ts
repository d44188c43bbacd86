import { expect, test } from "vitest";
import { latest, memo } from "./memo.ts";

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

test("the latest result stays while lists have the same members", () => {
  let calls = 0;
  const count = latest((list: readonly object[], more: number) => {
    calls++;
    return { value: list.length + more };
  });
  const [a, b] = [{}, {}];
  const first = count([a, b], 1);
  expect([count([a, b], 1) === first, calls]).toEqual([true, 1]);
  expect([count([b, a], 1) === first, calls]).toEqual([false, 2]);
  expect([count([a], 1).value, count([a], 2).value, calls]).toEqual([2, 3, 4]);
});
