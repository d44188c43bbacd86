import { diff } from "../model/diff.ts";

/** Bytes of a struct and back; derived from BTF by the kernel layer. */
export interface RowCodec {
  readonly size: number;
  encode(fields: Record<string, unknown>): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

/** A map of rows: the kernel's, or its twin in memory. Writing an equal row and removing a missing one succeed. */
export interface Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  entries(): [Buffer, Buffer][];
  lookup(key: Buffer): Buffer | undefined;
  write(rows: readonly [Buffer, Buffer][]): void;
  remove(keys: readonly Buffer[]): void;
}

/** Rows by their key's bytes in base64: comparable, printable. */
export type Rows = Map<string, Buffer>;

export const rowKey = (key: Buffer): string => key.toString("base64");
export const keyBytes = (key: string): Buffer => Buffer.from(key, "base64");

/** The key of a table whose rows have numbers. */
export function idKey(id: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(id);
  return key;
}

/** What the table holds now. */
export function readRows(table: Table): Rows {
  return new Map(table.entries().map(([key, value]) => [rowKey(key), value]));
}

/** Writes the difference between `desired` and `held`, and brings `held` up to date. Returns the rows touched. */
export function writeDifference(table: Table, desired: Rows, held: Rows): number {
  const { set, remove } = diff(desired, held, (a, b) => a.equals(b));
  if (set.length > 0) table.write(set.map(([key, value]) => [keyBytes(key), value]));
  for (const [key, value] of set) held.set(key, value);
  if (remove.length > 0) table.remove(remove.map(keyBytes));
  for (const key of remove) held.delete(key);
  return set.length + remove.length;
}

/** The twin in memory: the same contract, no kernel. */
export class MemoryTable implements Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  /** Rows written or removed so far. */
  writes = 0;
  readonly #rows: Rows = new Map();

  constructor(name: string, key: RowCodec, value: RowCodec) {
    this.name = name;
    this.key = key;
    this.value = value;
  }

  entries(): [Buffer, Buffer][] {
    return [...this.#rows].map(([key, value]) => [keyBytes(key), Buffer.from(value)]);
  }

  lookup(key: Buffer): Buffer | undefined {
    const value = this.#rows.get(rowKey(key));
    return value && Buffer.from(value);
  }

  write(rows: readonly [Buffer, Buffer][]): void {
    for (const [key, value] of rows) this.#rows.set(rowKey(key), Buffer.from(value));
    this.writes += rows.length;
  }

  remove(keys: readonly Buffer[]): void {
    for (const key of keys) if (this.#rows.delete(rowKey(key))) this.writes++;
  }
}
