import { describe, expect, test } from "vitest";
import { familyOf, firstAddress, formatPrefix, ipBytes, isAddress, macBytes, parsePrefix } from "./ip.ts";

test.each([
  ["10.0.0.1", true, 4],
  ["255.255.255.255", true, 4],
  ["fd00::1", true, 6],
  ["::", true, 6],
  ["::ffff:10.0.0.1", true, 6],
  ["fe80::1%eth0", false, undefined],
  ["010.0.0.1", false, undefined],
  ["10.0.0", false, undefined],
  ["10.0.0.1/24", false, undefined],
  ["", false, undefined],
  ["$(id)", false, undefined],
])("address %j: %s", (text, valid, family) => {
  expect(isAddress(text)).toBe(valid);
  if (family) expect(familyOf(text)).toBe(family);
  else expect(() => familyOf(text)).toThrow(/^read address .*: not an IP address$/);
});

test.each([
  ["10.244.1.9", "0af40109000000000000000000000000"],
  ["0.0.0.0", "00000000000000000000000000000000"],
  ["fd00:10:244:1::9", "fd000010024400010000000000000009"],
  ["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
])("bytes of %s", (address, hex) => {
  expect(Buffer.from(ipBytes(address)).toString("hex")).toBe(hex);
});

test.each([
  ["10.244.1.0/24", 4, 24, "10.244.1.0", "10.244.1.1"],
  ["10.244.1.77/24", 4, 24, "10.244.1.0", "10.244.1.1"],
  ["10.0.0.4/31", 4, 31, "10.0.0.4", "10.0.0.4"],
  ["10.0.0.4/32", 4, 32, "10.0.0.4", "10.0.0.4"],
  ["0.0.0.0/0", 4, 0, "0.0.0.0", "0.0.0.1"],
  ["fd00:10:244:1::/64", 6, 64, "fd00:10:244:1::", "fd00:10:244:1::1"],
  ["FD00:0:0:0:1:2:3:4/80", 6, 80, "fd00::1:0:0:0", "fd00::1:0:0:1"],
  ["::1/128", 6, 128, "::1", "::1"],
])("prefix %s", (cidr, family, length, address, first) => {
  expect(parsePrefix(cidr)).toEqual({ family, length, address });
  expect(formatPrefix(parsePrefix(cidr))).toBe(`${address}/${length}`);
  expect(firstAddress(cidr)).toBe(first);
});

describe.each([
  "10.244.1.0",
  "10.0.0.0/33",
  "fd00::/129",
  "fe80::1%1/64",
  "10.0.0.0/-1",
  "a/8",
  "/8",
  "",
  "10.0.0.0/8/8",
])("no prefix: %j", (cidr) => {
  test("throws", () => expect(() => parsePrefix(cidr)).toThrow(/^read CIDR .*: not an IP prefix/));
});

test("MAC addresses", () => {
  expect([...macBytes("02:00:5E:10:00:ff")]).toEqual([2, 0, 0x5e, 0x10, 0, 0xff]);
  for (const bad of ["02:00:5e:10:00", "02-00-5e-10-00-ff", "02:00:5e:10:00:fg", ""]) {
    expect(() => macBytes(bad)).toThrow(/^read MAC address/);
  }
});
