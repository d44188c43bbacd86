import { createHash } from "node:crypto";
import type { Btf, BtfMember, BtfType } from "./btf.ts";

const DEPTH = 8;
const SPARE = "spare";

/**
 * Digest of map declarations: type, sizes, and layouts of keys and values. Builds with equal digests can share pinned
 * maps. The first eight hexadecimal digits of a SHA-256. A member named `spare` only counts by offset and size: its
 * bytes are zero until a later build names them.
 * @param more other input of the digest
 */
export function mapSchema(declarations: readonly { btf: Btf; map: string }[], more = ""): string {
  const lines = declarations.map(({ btf, map }) => {
    const variable = btf.types.find((type) => type.kind === "var" && type.name === map);
    return `${map} ${variable ? describe(btf, variable.type, 0) : "undeclared"}`;
  });
  const text = [...new Set(lines)].sort().join("\n") + more;
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/** A type as text: its layout, and field names, since a renamed field has another meaning. */
export function describeType(btf: Btf, id: number): string {
  return describe(btf, id, 0);
}

function describe(btf: Btf, id: number, depth: number): string {
  const type = btf.resolve(id);
  if (depth > DEPTH) return type.name;
  if (type.kind === "ptr") return `*${describe(btf, type.type, depth + 1)}`;
  if (type.kind === "array") return `[${type.length}]${describe(btf, type.type, depth + 1)}`;
  if (type.kind === "struct" || type.kind === "union") return `${type.kind}{${members(btf, type, depth)}}`;
  return `${type.signed ? "signed " : ""}${type.kind}${type.size}`;
}

function members(btf: Btf, type: BtfType, depth: number): string {
  return type.members.map((member) => `${member.name}@${place(member)}:${typeOf(btf, member, depth)}`).join(" ");
}

const place = ({ offset, bits }: BtfMember): string => (bits > 0 ? `${offset}/${bits}` : `${offset}`);

const typeOf = (btf: Btf, { name, type }: BtfMember, depth: number): string =>
  name === SPARE ? `${sizeOf(btf, type)}` : describe(btf, type, depth + 1);

/** Size of a type that can be a struct member, bytes. */
function sizeOf(btf: Btf, id: number): number {
  const type = btf.resolve(id);
  if (type.kind === "array") return type.length * sizeOf(btf, type.type);
  return type.kind === "ptr" ? 8 : type.size;
}
