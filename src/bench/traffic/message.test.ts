import { expect, test } from "vitest";
import { MESSAGE_BYTES, readMessage, wireBytes, writeMessage } from "./message.ts";

test("a message is read as it was written", () => {
  const data = Buffer.alloc(3 * MESSAGE_BYTES);
  const message = { flow: 4999, number: 2 ** 31, sent: 1795986833596042.5 };
  writeMessage(data, MESSAGE_BYTES, message);
  expect(readMessage(data, MESSAGE_BYTES)).toEqual(message);
  expect(data.subarray(0, MESSAGE_BYTES).every((byte) => byte === 0)).toBe(true);
});

test.each([
  ["in one packet", 36, 1450, 64],
  ["that just fits", 1422, 1450, 1450],
  ["in two fragments", 1470, 1450, 1478 + 2 * 20],
  ["in three", 3000, 1450, 3008 + 3 * 20],
  ["in 43", 60_000, 1450, 60_008 + 43 * 20],
])("bytes at layer 3 of a datagram %s", (_, payload, mtu, bytes) => {
  expect(wireBytes(payload, mtu)).toBe(bytes);
});
