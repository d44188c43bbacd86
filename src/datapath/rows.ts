import type { Row, RowFields, RowValue } from "../model/document.ts";
import { Fault } from "./fault.ts";
import type { Name, NameKind, Names } from "./names.ts";
import { blockOf } from "./shaper-classes.ts";
import { packed, type Table } from "./tables.ts";

/** Resolves the names in rows. */
export interface RowScope {
  names: Names;
  /** Whether the document has an item of this name. A row may only refer to existing items. */
  has(kind: NameKind, name: string): boolean;
  /** Index of a device; undefined while it does not exist. */
  ifindex(device: string): number | undefined;
}

/** An encoded row, with the names whose ids it holds and the devices that it refers to. */
export interface EncodedRow {
  key: string;
  value: string;
  names: readonly Name[];
  devices: readonly string[];
}

const NONE: readonly never[] = [];

/**
 * Encodes a row and takes references to the names in it, which the caller must drop. A missing device is encoded as 0.
 * @throws Fault `encode` with the table's name and the field's path, `no-id`, `missing`
 */
export function encodeRow({ table: name, key, value }: Row, table: Table, scope: RowScope): EncodedRow {
  const names: Name[] = [];
  const devices: string[] = [];
  const idOf = (kind: Reference, of: string): number => {
    if (kind === "device") {
      devices.push(of);
      return scope.ifindex(of) ?? 0;
    }
    if (!scope.has(kind, of)) throw new Fault("missing", `there is no ${kind} ${of}`);
    const held = scope.names.hold(kind, of);
    names.push(held);
    return kind === "shaper" ? blockOf(held.id) : held.id;
  };
  try {
    return {
      key: packed(table.key.encode(resolve(key, idOf) as Record<string, unknown>)),
      value: packed(table.value.encode(resolve(value, idOf) as Record<string, unknown>)),
      names: names.length === 0 ? NONE : names,
      devices: devices.length === 0 ? NONE : devices,
    };
  } catch (cause) {
    for (const held of names) scope.names.drop(held);
    const message = `encode row of ${name} ${describe(key)}: ${(cause as Error).message}`;
    throw new Fault(cause instanceof Fault ? cause.code : "encode", message, { cause });
  }
}

/** The encoded key of a row; undefined if the row cannot have been written. */
export function encodeKey({ key }: Pick<Row, "key">, table: Table, scope: RowScope): string | undefined {
  const idOf = (kind: Reference, of: string): number => {
    const id = kind === "device" ? scope.ifindex(of) : scope.names.find(kind, of);
    if (id === undefined) throw new Fault("missing", `there is no ${kind} ${of}`);
    return kind === "shaper" ? blockOf(id) : id;
  };
  try {
    return packed(table.key.encode(resolve(key, idOf) as Record<string, unknown>));
  } catch {
    return undefined;
  }
}

type Reference = "port" | "instance" | "tunnel" | "shaper" | "device";
const REFERENCES: ReadonlySet<string> = new Set<Reference>(["port", "instance", "tunnel", "shaper", "device"]);

/** Replaces names by ids. */
function resolve(value: RowValue, idOf: (kind: Reference, name: string) => number): unknown {
  if (typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: RowValue) => resolve(item, idOf));
  const fields = value as RowFields;
  const names = Object.keys(fields);
  const [first = ""] = names;
  const named = fields[first];
  // A field may have the name of a reference kind; only in a reference is its value text.
  if (names.length === 1 && typeof named === "string" && REFERENCES.has(first)) return idOf(first as Reference, named);
  const out: Record<string, unknown> = {};
  for (const name of names) out[name] = resolve(fields[name] as RowValue, idOf);
  return out;
}

/** A key as readable text. */
export function describe(key: RowFields): string {
  const plain = (_: string, value: unknown): unknown => {
    if (typeof value === "bigint") return String(value);
    return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
  };
  return JSON.stringify(key, plain);
}
