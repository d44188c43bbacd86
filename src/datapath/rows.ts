import type { Row, RowFields, RowValue } from "../model/desired.ts";
import type { Ids } from "./compile.ts";
import { type Rows, rowKey, type Table } from "./tables.ts";

/** Puts ids in the place of names: `{ port }`, `{ instance }`, `{ device }` (0 while the device does not exist). */
export function resolve(value: RowValue, ids: Ids): unknown {
  if (typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: RowValue) => resolve(item, ids));
  const fields = value as RowFields;
  const [name, ...others] = Object.keys(fields);
  const target = name === undefined ? undefined : fields[name];
  if (others.length === 0 && typeof target === "string") {
    if (name === "port") return ids.port(target);
    if (name === "instance") return ids.instance(target);
    if (name === "device") return ids.device(target) ?? 0;
  }
  return Object.fromEntries(Object.entries(fields).map(([field, inner]) => [field, resolve(inner, ids)]));
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
