import { KernelError } from "./errors.ts";

const MAGIC = 0xeb9f;

/** BTF kinds as numbered by the kernel (include/uapi/linux/btf.h). */
// biome-ignore format: in groups
const KINDS = [
  "void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile", "const", "restrict",
  "func", "func_proto", "var", "datasec", "float", "decl_tag", "type_tag", "enum64",
] as const;
export type BtfKind = (typeof KINDS)[number];

/** A member of a struct or union, or a variable of a data section. Offsets in bits. */
export interface BtfMember {
  name: string;
  type: number;
  offset: number;
  /** Width in bits of a bitfield, else 0. */
  bits: number;
}
export interface BtfType {
  id: number;
  kind: BtfKind;
  name: string;
  /** Size in bytes, for int, struct, union, enum, float, datasec. */
  size: number;
  /** Referenced type, for ptr, typedef, qualifiers, var, func, and array (the element). */
  type: number;
  signed: boolean;
  bool: boolean;
  length: number;
  members: readonly BtfMember[];
  values: readonly { name: string; value: bigint }[];
}

/** Type information from the compiler. Little-endian hosts only. */
export class Btf {
  readonly types: readonly BtfType[];
  readonly #byName = new Map<string, BtfType>();

  constructor(types: readonly BtfType[]) {
    this.types = types;
    for (const type of types) {
      if (!type.name || type.kind === "fwd" || type.kind === "var") continue;
      // a struct and a typedef may have the same name; the struct is used
      const known = this.#byName.get(type.name);
      if (!known || known.kind === "typedef" || known.kind === "func") this.#byName.set(type.name, type);
    }
  }

  /** @param blob raw BTF: a `.BTF` section or /sys/kernel/btf/vmlinux */
  static parse(blob: Buffer): Btf {
    return new Btf(parseTypes(blob));
  }

  find(name: string): BtfType | undefined {
    return this.#byName.get(name);
  }

  /** The type behind typedefs and qualifiers. */
  resolve(id: number): BtfType {
    let type = this.types[id];
    for (let depth = 0; type && TRANSPARENT.has(type.kind) && depth < 64; depth++) type = this.types[type.type];
    if (!type)
      throw new KernelError(`resolve BTF type ${id}`, {
        code: "btf-invalid",
        hint: "no such type",
      });
    return type;
  }
}
const TRANSPARENT: ReadonlySet<BtfKind> = new Set(["typedef", "volatile", "const", "restrict", "type_tag"]);

/** Names of an enum's values. @throws KernelError `btf-missing` if the object does not use the enum */
export function enumNames(btf: Btf, name: string): Map<number, string> {
  const type = btf.find(name);
  if (type?.kind !== "enum" && type?.kind !== "enum64") {
    const hint = "the compiler keeps only enums that the program's types use";
    throw new KernelError(`find enum ${name} in BTF`, {
      code: "btf-missing",
      hint,
    });
  }
  return new Map(type.values.map((entry) => [Number(entry.value), entry.name]));
}

interface Cursor {
  blob: Buffer;
  at: number;
  u32(): number;
}

function cursor(blob: Buffer, at: number): Cursor {
  return {
    blob,
    at,
    u32() {
      const value = this.blob.readUInt32LE(this.at);
      this.at += 4;
      return value;
    },
  };
}

function parseTypes(blob: Buffer): BtfType[] {
  try {
    if (blob.readUInt16LE(0) !== MAGIC) throw new Error("wrong magic number");
    const headerLength = blob.readUInt32LE(4);
    const typesAt = headerLength + blob.readUInt32LE(8);
    const typesEnd = typesAt + blob.readUInt32LE(12);
    const stringsAt = headerLength + blob.readUInt32LE(16);
    if (typesEnd > blob.length || stringsAt >= blob.length) throw new Error("truncated");
    const nameAt = (offset: number) => {
      const start = stringsAt + offset;
      return blob.toString("utf8", start, blob.indexOf(0, start));
    };
    const read = cursor(blob, typesAt);
    const types: BtfType[] = [blank(0, "void", "")];
    while (read.at < typesEnd) types.push(parseType(read, types.length, nameAt));
    return types;
  } catch (cause) {
    throw new KernelError("parse BTF", { code: "btf-invalid", cause });
  }
}

function blank(id: number, kind: BtfKind, name: string): BtfType {
  return {
    id,
    kind,
    name,
    size: 0,
    type: 0,
    signed: false,
    bool: false,
    length: 0,
    members: [],
    values: [],
  };
}

const SIZED: ReadonlySet<BtfKind> = new Set(["int", "struct", "union", "enum", "enum64", "float", "datasec"]);

function parseType(read: Cursor, id: number, nameAt: (offset: number) => string): BtfType {
  const name = nameAt(read.u32());
  const info = read.u32();
  const sizeOrType = read.u32();
  const kind = KINDS[(info >>> 24) & 0x1f];
  if (!kind) throw new Error(`unknown kind ${(info >>> 24) & 0x1f}`);
  const type = blank(id, kind, name);
  if (SIZED.has(kind)) type.size = sizeOrType;
  else type.type = sizeOrType;
  parseTail(read, type, { count: info & 0xffff, flag: info >>> 31 === 1 }, nameAt);
  return type;
}

function parseTail(
  read: Cursor,
  type: BtfType,
  { count, flag }: { count: number; flag: boolean },
  nameAt: (offset: number) => string,
): void {
  const times = <T>(make: () => T): T[] => Array.from({ length: count }, make);
  switch (type.kind) {
    case "int": {
      const encoding = (read.u32() >>> 24) & 0xf;
      type.signed = (encoding & 1) !== 0;
      type.bool = (encoding & 4) !== 0;
      return;
    }
    case "array":
      type.type = read.u32();
      read.u32(); // the index's type
      type.length = read.u32();
      return;
    case "struct":
    case "union":
      type.members = times(() => {
        const name = nameAt(read.u32());
        const member = read.u32();
        const offset = read.u32();
        return {
          name,
          type: member,
          offset: flag ? offset & 0xffffff : offset,
          bits: flag ? offset >>> 24 : 0,
        };
      });
      return;
    case "enum":
      type.signed = flag;
      type.values = times(() => {
        const name = nameAt(read.u32());
        const value = read.u32();
        return { name, value: BigInt(flag ? value | 0 : value) };
      });
      return;
    case "enum64":
      type.signed = flag;
      type.values = times(() => {
        const name = nameAt(read.u32());
        const value = BigInt(read.u32()) | (BigInt(read.u32()) << 32n);
        return { name, value: flag ? BigInt.asIntN(64, value) : value };
      });
      return;
    case "datasec":
      type.members = times(() => {
        const variable = read.u32();
        const offset = read.u32() * 8;
        read.u32(); // its size
        return { name: "", type: variable, offset, bits: 0 };
      });
      return;
    case "func_proto":
      read.at += count * 8;
      return;
    case "var":
    case "decl_tag":
      read.at += 4;
      return;
  }
}
