import { KernelError } from "../kernel/index.ts";

/** Encodes and decodes a struct; derived from BTF by src/kernel. */
export interface RowCodec {
  readonly size: number;
  encode(fields: Record<string, unknown>): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

/** A row that could not be written, by its index. */
export interface RowRefusal {
  index: number;
  error: Error;
}

/** A map of rows: in the kernel, or its in-memory double. Writing an equal row or removing a missing one succeeds. */
export interface Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  /** Rows written or removed so far. */
  readonly writes: number;
  entries(): [Buffer, Buffer][];
  lookup(key: Buffer): Buffer | undefined;
  /** Writes all rows. Throws at the first that is refused. */
  write(rows: readonly [Buffer, Buffer][]): void;
  /** Writes each row by itself. Returns those that were refused. */
  writeEach(rows: readonly [Buffer, Buffer][]): RowRefusal[];
  remove(keys: readonly Buffer[]): void;
  /** Changes when any row changes; cheaper than comparing rows. */
  digest(): string;
}

/** Rows by base64 of the key's bytes. */
export type Rows = Map<string, Buffer>;

export const rowKey = (key: Buffer): string => key.toString("base64");
export const keyBytes = (key: string): Buffer => Buffer.from(key, "base64");

/**
 * Bytes as a string with a character per byte. Large tables are kept this way, since strings take less memory than
 * buffers.
 */
export const packed = (bytes: Buffer): string => bytes.toString("latin1");
export const unpacked = (text: string): Buffer => Buffer.from(text, "latin1");

/** The key of a table with numeric keys. */
export function idKey(id: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(id);
  return key;
}

/** The in-memory double of a kernel map, with the same contract. */
export class MemoryTable implements Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  writes = 0;
  /** The most rows that it can hold. */
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

  writeEach(rows: readonly [Buffer, Buffer][]): RowRefusal[] {
    const refusals: RowRefusal[] = [];
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
