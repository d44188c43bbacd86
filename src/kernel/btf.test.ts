import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Btf } from "./btf.ts";
import { codec } from "./codec.ts";
import { KernelError } from "./errors.ts";

const KIND = { int: 1, array: 3, struct: 4, typedef: 8 };
const STRINGS = "\0unsigned int\0char\0pair\0one\0two\0list\0alias\0";
const name = (text: string) => (text ? STRINGS.indexOf(`\0${text}\0`) + 1 : 0);

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, i * 4);
  return bytes;
}
const type = (kind: number, text: string, size: number, count = 0) =>
  words(name(text), ((kind << 24) | count) >>> 0, size);

/** 1: unsigned int, 2: char, 3: struct pair { one; two }, 4: char[4], 5: typedef alias = pair, 6: struct list of bits */
const TYPES = Buffer.concat([
  Buffer.concat([type(KIND.int, "unsigned int", 4), words(32)]),
  Buffer.concat([type(KIND.int, "char", 1), words((1 << 24) | 8)]),
  Buffer.concat([type(KIND.struct, "pair", 8, 2), words(name("one"), 1, 0), words(name("two"), 4, 32)]),
  Buffer.concat([type(KIND.array, "", 0), words(2, 1, 4)]),
  type(KIND.typedef, "alias", 3),
  Buffer.concat([words(name("list"), ((1 << 31) | (KIND.struct << 24) | 1) >>> 0, 4), words(name("one"), 1, 3 << 24)]),
]);

function blob(types = TYPES): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  header.writeUInt32LE(24, 4);
  header.writeUInt32LE(0, 8);
  header.writeUInt32LE(types.length, 12);
  header.writeUInt32LE(types.length, 16);
  header.writeUInt32LE(STRINGS.length, 20);
  return Buffer.concat([header, types, Buffer.from(STRINGS, "latin1")]);
}

test("types are read, found by name and resolved", () => {
  const btf = Btf.parse(blob());
  expect(btf.types.map(({ kind }) => kind)).toEqual(["void", "int", "int", "struct", "array", "typedef", "struct"]);
  expect(btf.find("pair")?.members.map(({ name, offset }) => [name, offset])).toEqual([
    ["one", 0],
    ["two", 32],
  ]);
  expect(btf.resolve(5).name).toBe("pair");
  expect(() => btf.resolve(99)).toThrow(/^resolve BTF type 99 \(no such type\)/);
  expect(codec(btf, "alias").encode({ one: 5, two: "abc" }).toString("hex")).toBe("0500000061626300");
  expect(() => codec(btf, "list")).toThrow(/^make a codec for list.one \(a bitfield\)/);
});

describe("broken BTF", () => {
  test("is refused with code btf-invalid, whatever is broken", () => {
    const good = blob();
    const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
    fc.assert(
      fc.property(edits, fc.nat(good.length), (changes, length) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          Btf.parse(bytes.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(KernelError);
          expect(error).toMatchObject({ code: "btf-invalid" });
        }
      }),
    );
    expect(() => Btf.parse(Buffer.from("no BTF at all, only text"))).toThrow(/^parse BTF: wrong magic number/);
    expect(() => Btf.parse(good.subarray(0, 40))).toThrow(/^parse BTF: truncated/);
  });
});

describe("codec", () => {
  const btf = Btf.parse(blob());
  test("decoding returns what was encoded", () => {
    const pair = codec<{ one: number; two: string }>(btf, "pair");
    const fields = fc.record({ one: fc.integer({ min: 0, max: 2 ** 32 - 1 }), two: fc.stringMatching(/^[a-z]{0,3}$/) });
    fc.assert(
      fc.property(fields, (value) => {
        expect(pair.decode(pair.encode(value))).toEqual(value);
      }),
    );
  });

  test("an invalid value is refused with code codec-value", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        try {
          expect(codec(btf, "pair").encode(value as never)).toHaveLength(8);
        } catch (error) {
          expect(error).toMatchObject({ code: "codec-value" });
        }
      }),
    );
  });
});
