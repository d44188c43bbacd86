import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { cumulated, delayedOf, WAIT_ENDS, waitAt } from "./waits.ts";

const waits = [90, 0, 8, 0, 0, 0, 1, 0, 0, 1];

test("the buckets are the same as in the BPF program", async () => {
  const header = await readFile(new URL("../functions/limit/measure.h", import.meta.url), "utf8");
  const [, ends = ""] = /ends\[\] = \{(.*)\}/.exec(header) ?? [];
  expect(ends.split(",").map(Number)).toEqual([...WAIT_ENDS]);
});

test.each([
  [0.5, 0.001],
  [0.9, 0.001],
  [0.91, 0.005],
  [0.98, 0.005],
  [0.99, 0.1],
  [1, null],
])("%s of the packets wait less than %s s", (part, end) => expect(waitAt(waits, part)).toBe(end));

test("without packets there is no quantile", () => expect(waitAt([0, 0], 0.5)).toBeNull());

test("packets that waited a millisecond or longer count as delayed", () => expect(delayedOf(waits)).toBe(10));

test("the last cumulative bucket holds all packets", () => {
  expect(cumulated(waits).slice(0, 3)).toEqual([
    { within: 0.001, packets: 90 },
    { within: 0.002, packets: 90 },
    { within: 0.005, packets: 98 },
  ]);
  expect(cumulated(waits).at(-1)).toEqual({ within: Number.POSITIVE_INFINITY, packets: 100 });
});
