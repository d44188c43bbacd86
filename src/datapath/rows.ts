import type { Row, RowFields, RowValue } from "../model/desired.ts";
import type { Ids } from "./compile.ts";
import { blockOf } from "./shapers.ts";
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
  if (names === "shaper") return blockOf(ids.shaper(text("shaper")));
  if (names === "port" && typeof fields["port"] === "string") return ids.port(fields["port"]);
  if (names === "tunnel" && typeof fields["tunnel"] === "string") return ids.tunnel(fields["tunnel"]);
  if (names === "instance" && typeof fields["instance"] === "string") return ids.instance(fields["instance"]);
  if (names === "device" && typeof fields["device"] === "string") return ids.device(fields["device"]) ?? 0;
  return undefined;
}

/** Rows of one table as bytes. Throws with the table's name and the field's path on a value that does not fit. */
export function encodeRows(rows: readonly Row[], table: Table, ids: Ids): Rows {
  return new RowEncoder().encode(rows, table, ids);
}

interface Encoded {
  key: string;
  value: Buffer;
  /** Devices that it names, and the indexes that they had. */
  devices: readonly { name: string; ifindex: number | undefined }[];
}

/**
 * Encodes the rows of one table, over and over: a row that was there the last time, the same object, is not encoded anew
 * unless a device that it names is another one. A row that was not is: its names may have other ids by now.
 */
export class RowEncoder {
  #last: ReadonlyMap<Row, Encoded> = new Map();

  /** @throws Error with the table's name and the field's path on a value that does not fit */
  encode(rows: readonly Row[], table: Table, ids: Ids): Rows {
    const now = new Map<Row, Encoded>();
    const out: Rows = new Map();
    const isSame = ({ devices }: Encoded) => devices.every(({ name, ifindex }) => ids.device(name) === ifindex);
    for (const row of rows) {
      const last = this.#last.get(row);
      const encoded = last && isSame(last) ? last : encodeRow(row, table, ids);
      now.set(row, encoded);
      out.set(encoded.key, encoded.value);
    }
    this.#last = now;
    return out;
  }
}

function encodeRow(row: Row, table: Table, ids: Ids): Encoded {
  const devices: { name: string; ifindex: number | undefined }[] = [];
  const device = (name: string): number | undefined => {
    const ifindex = ids.device(name);
    devices.push({ name, ifindex });
    return ifindex;
  };
  const noted = { ...ids, device };
  try {
    const key = rowKey(table.key.encode(resolve(row.key, noted) as Record<string, unknown>));
    return { key, value: table.value.encode(resolve(row.value, noted) as Record<string, unknown>), devices };
  } catch (cause) {
    throw new Error(`encode row of ${table.name} ${JSON.stringify(row.key)}: ${(cause as Error).message}`, { cause });
  }
}
