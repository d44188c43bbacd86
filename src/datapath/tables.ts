import { KernelError } from "../kernel/index.ts";
import { diff } from "../model/diff.ts";

/** Bytes of a struct and back; derived from BTF by the kernel layer. */
export interface RowCodec {
  readonly size: number;
  encode(fields: Record<string, unknown>): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

/** A row that could not be written, by its index. */
export interface Refusal {
  index: number;
  error: Error;
}

/** A map of rows: the kernel's, or its twin in memory. Writing an equal row and removing a missing one succeed. */
export interface Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  /** Rows written or removed so far. */
  readonly writes: number;
  entries(): [Buffer, Buffer][];
  lookup(key: Buffer): Buffer | undefined;
  /** Writes all; throws at the first that is refused. */
  write(rows: readonly [Buffer, Buffer][]): void;
  /** Writes each by itself; those that were refused. */
  writeEach(rows: readonly [Buffer, Buffer][]): Refusal[];
  remove(keys: readonly Buffer[]): void;
  /** Another one if a row is another: cheaper to compare than rows. */
  digest(): string;
}

/** Rows by their key's bytes in base64: comparable, printable. */
export type Rows = Map<string, Buffer>;

export const rowKey = (key: Buffer): string => key.toString("base64");
export const keyBytes = (key: string): Buffer => Buffer.from(key, "base64");

/** Bytes as text of as many characters: what large tables are kept as, since strings take less memory than buffers. */
export const packed = (bytes: Buffer): string => bytes.toString("latin1");
export const unpacked = (text: string): Buffer => Buffer.from(text, "latin1");

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
  writes = 0;
  /** Rows that it holds at most. */
  maxEntries: number;
  readonly #rows: Rows = new Map();

  constructor(name: string, key: RowCodec, value: RowCodec, maxEntries = Number.POSITIVE_INFINITY) {
    this.name = name;
    this.key = key;
    this.value = value;
    this.maxEntries = maxEntries;
  }

  entries(): [Buffer, Buffer][] {
    return [...this.#rows].map(([key, value]) => [keyBytes(key), Buffer.from(value)]);
  }

  lookup(key: Buffer): Buffer | undefined {
    const value = this.#rows.get(rowKey(key));
    return value && Buffer.from(value);
  }

  write(rows: readonly [Buffer, Buffer][]): void {
    const [refusal] = this.writeEach(rows);
    if (refusal) throw refusal.error;
  }

  writeEach(rows: readonly [Buffer, Buffer][]): Refusal[] {
    const refusals: Refusal[] = [];
    for (const [index, [key, value]] of rows.entries()) {
      const text = rowKey(key);
      if (this.#rows.size >= this.maxEntries && !this.#rows.has(text)) {
        const detail = { code: "map-full", errno: "E2BIG", hint: "the map is full, or the index is beyond it" };
        refusals.push({ index, error: new KernelError(`update map ${this.name}`, detail) });
        continue;
      }
      this.#rows.set(text, Buffer.from(value));
      this.writes++;
    }
    return refusals;
  }

  remove(keys: readonly Buffer[]): void {
    for (const key of keys) if (this.#rows.delete(rowKey(key))) this.writes++;
  }

  digest(): string {
    return [...this.#rows].map(([key, value]) => `${key} ${rowKey(value)}`).join();
  }
}
