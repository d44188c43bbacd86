import { expect, test } from "vitest";
import { readUse } from "./use.ts";

test.each([
  [
    "what passed alone",
    { packets: 2n, bytes: 300n, last: 5n },
    { packets: 2, bytes: 300, dropped: null, marked: null },
  ],
  [
    "by what became of them",
    { sent_packets: 2n, sent_bytes: 300n, dropped_packets: 1, marked_packets: 0n },
    { packets: 2, bytes: 300, dropped: 1, marked: 0 },
  ],
  [
    "in structs",
    { sent: { packets: 2, bytes: 300 }, dropped: { packets: 1n, bytes: 9n } },
    { packets: 2, bytes: 300, dropped: 1, marked: null },
  ],
])("a row that counts %s", (_, row, use) => {
  expect(readUse(row)).toEqual(use);
});

test("a row without counters is an error that names its fields", () => {
  expect(() => readUse({ start: 1n })).toThrow("no packets and bytes in start");
});
