import type { Row, RowFields, RowValue } from "../model/desired.ts";
import type { Ids } from "./compile.ts";
import { classId, type Leaf } from "./shapers.ts";
import { type Rows, rowKey, type Table } from "./tables.ts";

/** Puts ids in the place of names; a device that does not exist is 0. */
export function resolve(value: RowValue, ids: Ids): unknown {
  if (typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: RowValue) => resolve(item, ids));
  const fields = value as RowFields;
  return (
    idOf(fields, ids) ?? Object.fromEntries(Object.entries(fields).map(([name, one]) => [name, resolve(one, ids)]))
  );
}

/** The id that a reference stands for; undefined if the fields are no reference. */
function idOf(fields: RowFields, ids: Ids): number | undefined {
  const names = Object.keys(fields).join();
  const text = (name: string): string => String(fields[name]);
  if (names === "class,leaf") return classId(ids.instance(text("class")), fields["leaf"] as Leaf);
  if (names === "port" && typeof fields["port"] === "string") return ids.port(fields["port"]);
  if (names === "instance" && typeof fields["instance"] === "string") return ids.instance(fields["instance"]);
  if (names === "device" && typeof fields["device"] === "string") return ids.device(fields["device"]) ?? 0;
  return undefined;
}

/** Rows of one table as bytes. Throws with the table's name and the field's path on a value that does not fit. */
export function encodeRows(rows: readonly Row[], table: Table, ids: Ids): Rows {
  const encoded: Rows = new Map();
  for (const row of rows) {
    try {
      const key = table.key.encode(resolve(row.key, ids) as Record<string, unknown>);
      encoded.set(rowKey(key), table.value.encode(resolve(row.value, ids) as Record<string, unknown>));
    } catch (cause) {
      throw new Error(`encode row of ${table.name} ${JSON.stringify(row.key)}: ${(cause as Error).message}`, { cause });
    }
  }
  return encoded;
}
