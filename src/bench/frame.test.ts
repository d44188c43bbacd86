import { expect, test } from "vitest";
import { frame64 } from "./frame.ts";

test("a frame of 64 bytes has a valid header checksum", () => {
  const frame = frame64("10.1.2.3", "10.4.5.6");
  expect(frame.length).toBe(60);
  expect([...frame.subarray(26, 34)]).toEqual([10, 1, 2, 3, 10, 4, 5, 6]);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += frame.readUInt16BE(at);
  expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
  expect(frame.readUInt16BE(16)).toBe(frame.length - 14);
});
