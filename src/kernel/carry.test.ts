import { describe, expect, test } from "vitest";
import { Btf, type BtfKind, type BtfType } from "./btf.ts";
import { carrier, isSameType, type TypeIn } from "./carry.ts";
import { codec, type FieldValue } from "./codec.ts";

/** A type in a test: the name of an integer type, fields of a struct or union, or an array. */
type Spec = keyof typeof INTEGERS | { [field: string]: Spec } | readonly [Spec, number] | { union: Spec };
const INTEGERS = { u8: 1, u16: 2, u32: 4, u64: 8, s32: -4, s64: -8, char: 1 } as const;

/** Type information as a compiler would emit it, with fields packed in order. */
function build(spec: Spec): TypeIn {
  const types: BtfType[] = [];
  const add = (kind: BtfKind, name: string, more: Partial<BtfType>): number => {
    const blank = { size: 0, type: 0, signed: false, bool: false, length: 0, members: [], values: [] };
    return types.push({ id: types.length, kind, name, ...blank, ...more }) - 1;
  };
  add("void", "", {});
  const sizeOf = (id: number): number => {
    const { kind, size, length, type } = types[id] as BtfType;
    return kind === "array" ? length * sizeOf(type) : size;
  };
  const make = (one: Spec): number => {
    if (typeof one === "string") return add("int", one, { size: Math.abs(INTEGERS[one]), signed: INTEGERS[one] < 0 });
    if (Array.isArray(one)) return add("array", "", { type: make(one[0] as Spec), length: one[1] as number });
    const isUnion = Object.keys(one).join() === "union";
    let size = 0;
    const members = Object.entries(one as { [field: string]: Spec }).map(([name, inner]) => {
      const type = make(inner);
      const offset = size * 8;
      size += sizeOf(type);
      return { name, type, offset, bits: 0 };
    });
    return add(isUnion ? "union" : "struct", "row", { size, members });
  };
  const type = make(spec);
  return { btf: new Btf(types), type };
}

function carry(from: Spec, to: Spec, fields: FieldValue): unknown {
  const [one, other] = [build(from), build(to)];
  const carried = carrier(one, other)?.(codec(one.btf, one.type).encode(fields));
  return carried && codec(other.btf, other.type).decode(carried);
}

describe("a value is converted to another build's layout by field names", () => {
  test.each<[string, Spec, Spec, FieldValue, unknown]>([
    ["reordered, equal in size", { a: "u32", b: "u32" }, { b: "u32", a: "u32" }, { a: 1, b: 2 }, { a: 1, b: 2 }],
    [
      "another field in between",
      { a: "u32", b: "u32" },
      { a: "u32", c: "u32", b: "u32" },
      { a: 1, b: 2 },
      { a: 1, c: 0, b: 2 },
    ],
    ["a field that is gone", { a: "u32", b: "u32" }, { b: "u32" }, { a: 1, b: 2 }, { b: 2 }],
    ["a renamed field", { a: "u32", b: "u32" }, { a: "u32", x: "u32" }, { a: 1, b: 2 }, { a: 1, x: 0 }],
    ["wider", { a: "u16" }, { a: "u64" }, { a: 65535 }, { a: 65535n }],
    ["wider, signed", { a: "s32" }, { a: "s64" }, { a: -5 }, { a: -5n }],
    ["narrower, and it fits", { a: "u64" }, { a: "u16" }, { a: 65535n }, { a: 65535 }],
    ["narrower, and it does not fit", { a: "u64" }, { a: "u16" }, { a: 65536n }, undefined],
    ["negative, where no sign is", { a: "s32" }, { a: "u64" }, { a: -1 }, undefined],
    ["too large for a sign", { a: "u32" }, { a: "s32" }, { a: 2 ** 31 }, undefined],
    ["a plain integer", "u32", "u64", 7, 7n],
    ["a longer array", { a: ["u16", 2] }, { a: ["u32", 3] }, { a: [1, 2] }, { a: [1, 2, 0] }],
    ["a shorter array that fits", { a: ["u16", 3] }, { a: ["u16", 2] }, { a: [1, 2] }, { a: [1, 2] }],
    ["a shorter array that does not", { a: ["u16", 3] }, { a: ["u16", 2] }, { a: [1, 2, 3] }, undefined],
    ["longer text", { a: ["char", 4] }, { a: ["char", 8] }, { a: "abc" }, { a: "abc" }],
    [
      "a nested struct that grew",
      { a: { x: "u8" }, b: "u8" },
      { b: "u8", a: { y: "u8", x: "u8" } },
      { a: { x: 3 }, b: 4 },
      { b: 4, a: { y: 0, x: 3 } },
    ],
    [
      "structs in an array",
      { a: [{ x: "u8", y: "u8" }, 2] },
      { a: [{ y: "u16", x: "u8" }, 2] },
      {
        a: [
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ],
      },
      {
        a: [
          { y: 2, x: 1 },
          { y: 4, x: 3 },
        ],
      },
    ],
    [
      "a field that became a struct",
      { a: "u32", b: "u32" },
      { a: { x: "u32" }, b: "u32" },
      { a: 1, b: 2 },
      { a: { x: 0 }, b: 2 },
    ],
    [
      "an equal union",
      { a: { union: "u32" }, b: "u8" },
      { b: "u8", a: { union: "u32" } },
      { a: { union: 9 }, b: 1 },
      { b: 1, a: { union: 9 } },
    ],
    [
      "another union",
      { a: { union: "u32" }, b: "u8" },
      { b: "u8", a: { union: "u64" } },
      { a: { union: 9 }, b: 1 },
      { b: 1, a: { union: 0n } },
    ],
  ])("%s", (_what, from, to, fields, expected) => {
    expect(carry(from, to, fields)).toEqual(expected);
  });

  test("types without a common field cannot be converted", () => {
    expect(carrier(build({ a: "u32" }), build({ b: "u32" }))).toBeUndefined();
    expect(carrier(build("u32"), build({ a: "u32" }))).toBeUndefined();
  });

  test("two types are the same only if field names and offsets are equal", () => {
    const pair = build({ a: "u32", b: "u32" });
    expect(isSameType(pair, build({ a: "u32", b: "u32" }))).toBe(true);
    expect(isSameType(pair, build({ b: "u32", a: "u32" }))).toBe(false);
    expect(isSameType(pair, build({ a: "u32", x: "u32" }))).toBe(false);
  });
});
