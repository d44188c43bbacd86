import { describe, expect, it } from "vitest";
import { decodeText } from "./encoding.ts";

const TEXT = "kind: Pod # ä 💥\n";
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16();
const little = Buffer.from(TEXT, "utf16le");
const bytes = (...numbers: number[]) => Buffer.from(numbers);

describe("decodeText", () => {
  it.each([
    ["UTF-8", Buffer.from(TEXT)],
    ["UTF-8 with a mark", Buffer.concat([bytes(0xef, 0xbb, 0xbf), Buffer.from(TEXT)])],
    ["UTF-16LE with a mark", Buffer.concat([bytes(0xff, 0xfe), little])],
    ["UTF-16BE with a mark", Buffer.concat([bytes(0xfe, 0xff), swapped(little)])],
    ["UTF-16LE without", little],
    ["UTF-16BE without", swapped(little)],
  ])("reads %s", (_, encoded) => expect(decodeText(encoded)).toEqual({ ok: true, value: TEXT }));

  it.each([
    ["nothing", bytes(), ""],
    ["one byte", bytes(0x61), "a"],
  ])("reads %s", (_, encoded, text) => expect(decodeText(encoded)).toEqual({ ok: true, value: text }));

  it.each([
    ["Latin-1", Buffer.from("a: ä", "latin1"), "is not text in UTF-8; save it in UTF-8"],
    ["half a character of UTF-16", Buffer.concat([little, bytes(0x61)]), "is not text in UTF-16LE; save it in UTF-8"],
    ["half a pair of UTF-16", bytes(0x61, 0, 0x3d, 0xd8), "is not text in UTF-16LE; save it in UTF-8"],
    ["UTF-32LE", bytes(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), "is not text in UTF-8 or UTF-16, but in UTF-32"],
    ["UTF-32BE", bytes(0, 0, 0xfe, 0xff, 0, 0, 0, 0x61), "is not text in UTF-8 or UTF-16, but in UTF-32"],
  ])("names the encoding of %s", (_, encoded, reason) =>
    expect(decodeText(encoded)).toEqual({ ok: false, reason: expect.stringContaining(reason) }),
  );
});
