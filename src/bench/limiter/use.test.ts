import { expect, test } from "vitest";
import { readUse } from "./use.ts";

test.each([
  [
    "what passed alone",
    { packets: 2n, bytes: 300n, last: 5n },
    { packets: 2, bytes: 300, dropped: null, marked: null },
  ],
  [
    "what it did with the rest",
    { packets: 2n, bytes: 300n, refused_packets: 1n, marked_packets: 0n },
    { packets: 2, bytes: 300, dropped: 1, marked: 0 },
  ],
])("a row that counts %s", (_, row, use) => {
  expect(readUse(row)).toEqual(use);
});

test("a row without counters is an error that names its fields", () => {
  expect(() => readUse({ start: 1n })).toThrow("no packets and bytes in start");
});
