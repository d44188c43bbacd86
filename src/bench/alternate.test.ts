import { expect, test } from "vitest";
import { octets } from "./alternate.ts";

const TEXT = `TcpExt: SyncookiesSent InOctets
TcpExt: 1 2
IpExt: InNoRoutes InOctets OutOctets
IpExt: 0 1234567890123 7
`;

test("received bytes are IP's counter, found by name", () => {
  expect(octets(TEXT)).toBe(1234567890123);
});

test.each([
  ["", ""],
  ["IpExt: InNoRoutes\nIpExt: 0", ""],
  ["IpExt: InOctets\nIpExt: x", ""],
])("%j holds none", (text) => {
  expect(() => octets(text)).toThrow("read received bytes: netstat has no IpExt InOctets");
});
