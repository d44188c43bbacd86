import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAddress, formatMac, parseAddress, parseCidr, parseMac } from "./address.ts";
import { attr, attributes, nest, pack, string, text, u32, uint, unpack } from "./message.ts";
import { formatHandle, handle } from "./tc.ts";

describe("messages", () => {
  test("are unpacked as they were packed, several in a datagram", () => {
    const body = Buffer.concat([text(3, "eth0"), u32(4, 1500), nest(18, text(1, "veth"))]);
    const datagram = Buffer.concat([
      pack({ type: 16, flags: 5, body }, 7),
      pack({ type: 18, flags: 1, body: Buffer.alloc(3) }, 8),
    ]);
    const [first, second] = [...unpack(datagram)];
    expect(first).toMatchObject({ type: 16, flags: 5, sequence: 7 });
    expect(second).toMatchObject({ type: 18, sequence: 8, body: Buffer.alloc(3) });
    const found = attributes(first?.body ?? Buffer.alloc(0));
    expect([string(found, 3), uint(found, 4), uint(found, 5)]).toEqual(["eth0", 1500, undefined]);
    expect(string(attributes(found.get(18) ?? Buffer.alloc(0)), 1)).toBe("veth");
  });

  test("unpacking arbitrary bytes terminates", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const buffer = Buffer.from(bytes);
        expect([...unpack(buffer)].length).toBeLessThanOrEqual(bytes.length / 16);
        expect(attributes(buffer).size).toBeLessThanOrEqual(bytes.length / 4);
      }),
    );
  });

  test("attributes are padded to four bytes", () => {
    expect(attr(1, Buffer.from("abcde")).toString("hex")).toBe("0900010061626364650000" + "00");
  });
});

describe("addresses", () => {
  test.each([
    ["10.0.0.1/24", "0a000001", 24],
    ["10.0.0.1", "0a000001", 32],
    ["::/0", "0".repeat(32), 0],
    ["fd00::1", "fd000000000000000000000000000001", 128],
  ])("%s", (cidr, hex, prefix) => {
    const parsed = parseCidr(cidr);
    expect([parsed.bytes.toString("hex"), parsed.prefix]).toEqual([hex, prefix]);
    expect(formatAddress(parsed.bytes)).toBe(cidr.split("/")[0]);
  });

  test.each([
    "",
    "/",
    "10.0.0.1/",
    "10.0.0.1/33",
    "10.0.0.1/-1",
    "10.0.0.1/1/2",
    "010.0.0.1",
    "fe80::1%eth0",
    "::1/129",
    "x",
  ])("%j is no CIDR", (cidr) => expect(() => parseCidr(cidr)).toThrow(/^read (CIDR|address) /));

  test("formatting and parsing an address are inverse", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(formatAddress(parseAddress(address).bytes)).toBe(address);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const formatted = formatAddress(Buffer.from(bytes));
        expect(parseAddress(formatted).bytes).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test.each(["", "02:00:00:00:00", "02-00-00-00-00-01", "02:00:00:00:00:0g", "02:00:00:00:00:01:02"])(
    "%j is no MAC",
    (mac) => expect(() => parseMac(mac)).toThrow(/^read MAC address/),
  );
  test("MACs", () => expect(formatMac(parseMac("02:AB:00:00:00:fF"))).toBe("02:ab:00:00:00:ff"));
});

test("handles are formatted as by tc", () => {
  expect([formatHandle(handle(1, 0x10)), formatHandle(handle(0xffff, 0xfff1)), handle(1)]).toEqual([
    "1:10",
    "ffff:fff1",
    0x10000,
  ]);
});
