import { expect, test } from "vitest";
import { latest, memo, memoMembers } from "./memo.ts";

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

test("each sequence of members has its result", () => {
  let calls = 0;
  const pair = memoMembers((list: readonly object[]) => {
    calls++;
    return [...list];
  });
  const [a, b] = [{}, {}];
  const [first, other] = [pair([a, b]), pair([b, a])];
  expect([pair([a]), pair([]), first, other]).toEqual([[a], [], [a, b], [b, a]]);
  expect(calls).toBe(4);
  expect([pair([a, b]) === first, pair([b, a]) === other, pair([a, {}]) === first, calls]).toEqual([
    true,
    true,
    false,
    5,
  ]);
});

test("a list as an argument counts by its members", () => {
  let calls = 0;
  const count = memo((_: object, list: readonly unknown[]) => {
    calls++;
    return list.length;
  });
  const key = {};
  expect([count(key, ["x", "y"]), count(key, ["x", "y"]), calls]).toEqual([2, 2, 1]);
  expect([count(key, ["x"]), count(key, ["y"]), calls]).toEqual([1, 1, 3]);
});
