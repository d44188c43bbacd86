import type { Btf, BtfType } from "./btf.ts";
import { KernelError } from "./errors.ts";

/** Input of `encode`: numbers or bigints for integers, text for char[N], bytes for u8[N], arrays, nested fields. */
export type FieldValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly FieldValue[]
  | { readonly [field: string]: FieldValue };
/** Output of `decode`: u64 and s64 as bigint, smaller integers as number, u8[N] as Buffer, char[N] as text. */
export type Decoded = number | bigint | boolean | string | Buffer | Decoded[] | { [field: string]: Decoded };

/** Encodes fields to the bytes of a C type, and decodes them. Fields that are left out are zero. */
export interface Codec<Fields = { [field: string]: Decoded }> {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  encode(fields: FieldValue): Buffer;
  decode(bytes: Buffer): Fields;
}

interface Part {
  size: number;
  write(out: Buffer, at: number, value: FieldValue, path: string): void;
  read(bytes: Buffer, at: number): Decoded;
}

function refuse(path: string, why: string): never {
  throw new KernelError(`encode ${path}`, { code: "codec-value", hint: why });
}

/**
 * The codec of a type in an object's BTF: a struct, or a plain integer such as `__u32` (which takes and gives a number).
 * @throws KernelError `btf-missing`, `btf-unsupported`; `encode` throws `codec-value` with the field's path,
 *   `decode` throws `codec-size`
 */
export function codec<Fields = { [field: string]: Decoded }>(btf: Btf, type: string | number): Codec<Fields> {
  const found = typeof type === "number" ? btf.types[type] : btf.find(type);
  if (!found) {
    const hint = "the compiler keeps only types that a map or the program uses";
    throw new KernelError(`find type ${type} in BTF`, {
      code: "btf-missing",
      hint,
    });
  }
  const name = found.name || `#${found.id}`;
  const part = partOf(btf, found.id, name);
  return {
    name,
    size: part.size,
    encode(fields) {
      const out = Buffer.alloc(part.size);
      part.write(out, 0, fields, name);
      return out;
    },
    decode(bytes) {
      if (bytes.length >= part.size) return part.read(bytes, 0) as Fields;
      const hint = `${bytes.length} bytes, ${part.size} expected`;
      throw new KernelError(`decode ${name}`, { code: "codec-size", hint });
    },
  };
}

function partOf(btf: Btf, id: number, path: string): Part {
  const type = btf.resolve(id);
  switch (type.kind) {
    case "int":
      return type.bool ? bool(type.size) : integer(type);
    case "enum":
    case "enum64":
      return integer(type);
    case "ptr":
      return integer({ ...type, size: 8 });
    case "array":
      return array(btf, type, path);
    case "struct":
    case "union":
      return record(btf, type, path);
    default:
      throw new KernelError(`make a codec for ${path}`, {
        code: "btf-unsupported",
        hint: `a ${type.kind}`,
      });
  }
}

function bool(size: number): Part {
  return {
    size,
    write(out, at, value, path) {
      if (value !== true && value !== false && value !== 0 && value !== 1) refuse(path, "not a boolean");
      out.writeUInt8(value ? 1 : 0, at);
    },
    read: (bytes, at) => bytes.readUInt8(at) !== 0,
  };
}

function integer({ size, signed }: Pick<BtfType, "size" | "signed">): Part {
  const low = signed ? -(2n ** BigInt(size * 8 - 1)) : 0n;
  const high = low + 2n ** BigInt(size * 8) - 1n;
  const range = `not an integer of ${low} to ${high}`;
  return size <= 4 ? smallInteger(size, signed, range) : wideInteger(size, signed, { low, high, range });
}

function smallInteger(size: number, signed: boolean, range: string): Part {
  const low = signed ? -(2 ** (size * 8 - 1)) : 0;
  const high = low + 2 ** (size * 8) - 1;
  return {
    size,
    write(out, at, value, path) {
      const number = typeof value === "bigint" ? Number(value) : value;
      if (typeof number !== "number" || !Number.isInteger(number)) refuse(path, `${show(value)} is ${range}`);
      if (number < low || number > high) refuse(path, `${number} is ${range}`);
      if (signed) out.writeIntLE(number, at, size);
      else out.writeUIntLE(number, at, size);
    },
    read: (bytes, at) => (signed ? bytes.readIntLE(at, size) : bytes.readUIntLE(at, size)),
  };
}

function wideInteger(
  size: number,
  signed: boolean,
  { low, high, range }: { low: bigint; high: bigint; range: string },
): Part {
  return {
    size,
    write(out, at, value, path) {
      const exact = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof exact !== "bigint" || exact < low || exact > high) refuse(path, `${show(value)} is ${range}`);
      writeExact(out, at, size, BigInt.asUintN(size * 8, exact));
    },
    read(bytes, at) {
      const value = readExact(bytes, at, size);
      return signed ? BigInt.asIntN(size * 8, value) : value;
    },
  };
}

const show = (value: FieldValue): string => (typeof value === "object" ? "a list or fields" : String(value));

function writeExact(out: Buffer, at: number, size: number, value: bigint): void {
  if (size === 8) out.writeBigUInt64LE(value, at);
  else for (let i = 0; i < size; i++) out[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function readExact(bytes: Buffer, at: number, size: number): bigint {
  if (size === 8) return bytes.readBigUInt64LE(at);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

function array(btf: Btf, type: BtfType, path: string): Part {
  const element = btf.resolve(type.type);
  if (element.kind === "int" && element.size === 1 && !element.bool) {
    return element.name === "char" ? text(type.length) : bytesOf(type.length);
  }
  const part = partOf(btf, type.type, `${path}[]`);
  return {
    size: part.size * type.length,
    write(out, at, value, where) {
      if (!Array.isArray(value)) refuse(where, "not a list");
      if (value.length > type.length) refuse(where, `${value.length} items, at most ${type.length}`);
      for (const [i, item] of value.entries()) part.write(out, at + i * part.size, item, `${where}[${i}]`);
    },
    read: (bytes, at) => Array.from({ length: type.length }, (_, i) => part.read(bytes, at + i * part.size)),
  };
}

function bytesOf(size: number): Part {
  return {
    size,
    write(out, at, value, path) {
      if (!(value instanceof Uint8Array) && !Array.isArray(value)) refuse(path, "not bytes");
      if (value.length > size) refuse(path, `${value.length} bytes, at most ${size}`);
      for (const [i, byte] of value.entries()) {
        if (typeof byte !== "number" || !Number.isInteger(byte) || byte < 0 || byte > 255) refuse(path, "not bytes");
        out[at + i] = byte;
      }
    },
    read: (bytes, at) => Buffer.from(bytes.subarray(at, at + size)),
  };
}

function text(size: number): Part {
  const raw = bytesOf(size);
  return {
    size,
    write(out, at, value, path) {
      if (typeof value !== "string") return raw.write(out, at, value, path);
      const encoded = Buffer.from(value, "utf8");
      if (encoded.includes(0)) refuse(path, "text with a zero byte");
      if (encoded.length >= size) refuse(path, `${encoded.length} bytes of text, at most ${size - 1}`);
      encoded.copy(out, at);
    },
    read(bytes, at) {
      const field = bytes.subarray(at, at + size);
      const end = field.indexOf(0);
      return field.toString("utf8", 0, end < 0 ? size : end);
    },
  };
}

interface Slot {
  name: string;
  offset: number;
  part: Part;
}

/** Members of anonymous structs and unions count as the outer one's, as in C. */
function slots(btf: Btf, type: BtfType, path: string, base: number): Slot[] {
  return type.members.flatMap((member) => {
    if (member.bits > 0) {
      throw new KernelError(`make a codec for ${path}.${member.name}`, {
        code: "btf-unsupported",
        hint: "a bitfield",
      });
    }
    const offset = base + member.offset / 8;
    const inner = btf.resolve(member.type);
    if (!member.name && (inner.kind === "struct" || inner.kind === "union")) return slots(btf, inner, path, offset);
    return [
      {
        name: member.name,
        offset,
        part: partOf(btf, member.type, `${path}.${member.name}`),
      },
    ];
  });
}

function isFields(value: FieldValue): value is { readonly [field: string]: FieldValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function record(btf: Btf, type: BtfType, path: string): Part {
  const members = slots(btf, type, path, 0);
  const byName = new Map(members.map((slot) => [slot.name, slot]));
  return {
    size: type.size,
    write(out, at, value, where) {
      if (!isFields(value)) refuse(where, "not fields");
      for (const [name, field] of Object.entries(value)) {
        const slot = byName.get(name);
        if (!slot)
          refuse(`${where}.${name}`, `unknown field; ${type.name || "it"} has ${[...byName.keys()].join(", ")}`);
        slot.part.write(out, at + slot.offset, field, `${where}.${name}`);
      }
    },
    read(bytes, at) {
      const fields: { [field: string]: Decoded } = {};
      for (const slot of members) fields[slot.name] = slot.part.read(bytes, at + slot.offset);
      return fields;
    },
  };
}
