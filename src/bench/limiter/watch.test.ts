import { expect, test } from "vitest";
import { longestGap, type Reading, rateIn, without } from "./watch.ts";

/** A reading every 100 ms; `bytes` of each step. */
function readings(bytes: readonly number[], limited = true): Reading[] {
  let sum = 0;
  return [0, ...bytes].map((more, i) => {
    sum += more;
    return { time: 100 * i, limit: limited ? 1000 + sum : null, received: sum };
  });
}

test("a rate is the bytes between a span's first and last reading, divided by their time", () => {
  const all = readings([500, 100, 100, 100, 900]);
  expect(rateIn(all, "limit", [{ start: 100, end: 400 }])).toBe(8000);
  expect(rateIn(all, "received", [{ start: 0, end: 500 }])).toBe((1700 * 8) / 0.5);
  const spans = [
    { start: 0, end: 100 },
    { start: 400, end: 500 },
  ];
  expect(rateIn(all, "limit", spans)).toBe((1400 * 8) / 0.2);
});

test.each([
  ["no limit", readings([1, 1, 1], false), [{ start: 0, end: 300 }]],
  ["one reading alone", readings([1, 1, 1]), [{ start: 80, end: 120 }]],
  ["no span", readings([1, 1, 1]), []],
])("%s has no rate", (_, all, spans) => {
  expect(rateIn(all, "limit", spans)).toBeUndefined();
});

test("the longest gap is from an arrival to the next, or to the end", () => {
  expect(longestGap(readings([1, 1, 0, 0, 1, 1]), { start: 0, end: 600 })).toBe(300);
  expect(longestGap(readings([1, 1, 0, 0, 0]), { start: 0, end: 500 })).toBe(300);
  expect(longestGap(readings([1, 1, 1]), { start: 0, end: 300 })).toBe(100);
  expect(longestGap(readings([0, 0, 0, 1, 1]), { start: 300, end: 500 })).toBe(100);
});

test("a span without others", () => {
  const span = { start: 0, end: 100 };
  const inner = { start: 40, end: 50 };
  expect(without(span, [inner, { start: 90, end: 120 }])).toEqual([
    { start: 0, end: 40 },
    { start: 50, end: 90 },
  ]);
  expect(without(span, [{ start: -5, end: 200 }])).toEqual([]);
  expect(without(span, [{ start: 200, end: 300 }])).toEqual([span]);
});
