import type { BpfMap, Codec } from "../kernel/index.ts";
import type { RowCodec, Table } from "./tables.ts";

/** A pinned map as a table. In an array, where rows cannot be missing, a removed row is a row of zeros. */
export class KernelTable implements Table {
  readonly name: string;
  readonly key: RowCodec;
  readonly value: RowCodec;
  readonly map: BpfMap;
  /** Rows written or removed so far. */
  writes = 0;

  constructor(name: string, map: BpfMap, codecs: { key: Codec; value: Codec }) {
    this.name = name;
    this.map = map;
    this.key = codecs.key as unknown as RowCodec;
    this.value = codecs.value as unknown as RowCodec;
  }

  get #isArray(): boolean {
    return this.map.type.endsWith("array");
  }

  entries(): [Buffer, Buffer][] {
    const rows = this.map.entries();
    return this.#isArray ? rows.filter(([, value]) => value.some((byte) => byte !== 0)) : rows;
  }

  lookup(key: Buffer): Buffer | undefined {
    return this.map.lookup(key);
  }

  write(rows: readonly [Buffer, Buffer][]): void {
    if (rows.length === 0) return;
    this.map.updateBatch(rows);
    this.writes += rows.length;
  }

  remove(keys: readonly Buffer[]): void {
    if (keys.length === 0) return;
    if (this.#isArray) this.map.updateBatch(keys.map((key) => [key, Buffer.alloc(this.map.bufferSize)]));
    else this.map.deleteBatch(keys);
    this.writes += keys.length;
  }
}
