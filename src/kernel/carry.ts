import type { Btf, BtfType } from "./btf.ts";
import { describeType } from "./map-schema.ts";

/** A type in one build's BTF. */
export interface TypeIn {
  btf: Btf;
  /** Id of the type. */
  type: number;
}

/** Converts the bytes of one build's type to another's; undefined if the value does not fit. */
export type Carrier = (bytes: Buffer) => Buffer | undefined;

/** Converts one part of the bytes. Returns false if the value does not fit. */
type Step = (from: Buffer, to: Buffer) => boolean;

interface Place extends TypeIn {
  at: number; // offset in bytes
}

/**
 * Returns a converter between two builds' types, by field names. Integers of another width keep their value, arrays are
 * converted by element, removed fields are dropped, and new fields are zero. A union, bit field or pointer is only
 * copied if both builds declare it alike, since the meaning of its bytes is unknown.
 * @returns undefined if the types have no field in common
 */
export function carrier(from: TypeIn, to: TypeIn): Carrier | undefined {
  const steps = stepsOf({ ...from, at: 0 }, { ...to, at: 0 });
  if (steps.length === 0) return undefined;
  const size = sizeOf(to);
  return (bytes) => {
    const out = Buffer.alloc(size);
    return steps.every((step) => step(bytes, out)) ? out : undefined;
  };
}

/** Whether both builds have the same layout and field names. */
export function isSameType(one: TypeIn, other: TypeIn): boolean {
  return describeType(one.btf, one.type) === describeType(other.btf, other.type);
}

function stepsOf(from: Place, to: Place): Step[] {
  const source = from.btf.resolve(from.type);
  const target = to.btf.resolve(to.type);
  if (isSameType(from, to)) return [copy(from.at, to.at, sizeOf(from))];
  if (isInteger(source) && isInteger(target)) return [integer(source, from.at, target, to.at)];
  if (source.kind === "array" && target.kind === "array") return arraySteps(source, from, target, to);
  if (source.kind === "struct" && target.kind === "struct") return structSteps(source, from, target, to);
  return [];
}

const isInteger = ({ kind }: BtfType): boolean => kind === "int" || kind === "enum" || kind === "enum64";

function sizeOf({ btf, type }: TypeIn): number {
  const { kind, size, length, type: element } = btf.resolve(type);
  if (kind === "array") return length * sizeOf({ btf, type: element });
  return kind === "ptr" ? 8 : size;
}

function copy(from: number, to: number, size: number): Step {
  return (bytes, out) => {
    bytes.copy(out, to, from, from + size);
    return true;
  };
}

function integer(source: BtfType, from: number, target: BtfType, to: number): Step {
  const width = target.size * 8;
  return (bytes, out) => {
    const value = readInteger(bytes, from, source);
    const raw = BigInt.asUintN(width, value);
    if ((target.signed ? BigInt.asIntN(width, raw) : raw) !== value) return false;
    for (let i = 0; i < target.size; i++) out[to + i] = Number((raw >> BigInt(8 * i)) & 0xffn);
    return true;
  };
}

function readInteger(bytes: Buffer, at: number, { size, signed }: BtfType): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return signed ? BigInt.asIntN(size * 8, value) : value;
}

/** Elements beyond a shorter array must be zero, like the end of a shorter string. */
function arraySteps(source: BtfType, from: Place, target: BtfType, to: Place): Step[] {
  const element = { from: { btf: from.btf, type: source.type }, to: { btf: to.btf, type: target.type } };
  const size = { from: sizeOf(element.from), to: sizeOf(element.to) };
  const common = Math.min(source.length, target.length);
  if (source.length > target.length) {
    const rest = isZero(from.at + common * size.from, from.at + source.length * size.from);
    return [rest, ...elementSteps()];
  }
  return elementSteps();

  function elementSteps(): Step[] {
    if (isSameType(element.from, element.to)) return [copy(from.at, to.at, common * size.from)];
    const one = (i: number) =>
      stepsOf({ ...element.from, at: from.at + i * size.from }, { ...element.to, at: to.at + i * size.to });
    return Array.from({ length: common }, (_, i) => one(i)).flat();
  }
}

function isZero(start: number, end: number): Step {
  return (bytes) => bytes.subarray(start, end).every((byte) => byte === 0);
}

interface Field {
  type: number;
  at: number;
}

function structSteps(source: BtfType, from: Place, target: BtfType, to: Place): Step[] {
  const sources = fieldsOf(from, source);
  return [...fieldsOf(to, target)].flatMap(([name, field]) => {
    const known = sources.get(name);
    return known ? stepsOf({ btf: from.btf, ...known }, { btf: to.btf, ...field }) : [];
  });
}

/** Fields by name. Fields of anonymous structs count as the outer one's, as in C. Bit fields are left out. */
function fieldsOf({ btf, at }: Place, struct: BtfType): Map<string, Field> {
  const fields = struct.members.flatMap((member): [string, Field][] => {
    const place = at + member.offset / 8;
    const inner = btf.resolve(member.type);
    if (!member.name && inner.kind === "struct") return [...fieldsOf({ btf, type: inner.id, at: place }, inner)];
    return member.bits > 0 || !member.name ? [] : [[member.name, { type: member.type, at: place }]];
  });
  return new Map(fields);
}
