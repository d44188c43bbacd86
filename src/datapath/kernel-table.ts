import type { BpfMap, Codec } from "../kernel/index.ts";
import type { RowCodec, RowRefusal, Table } from "./tables.ts";

/** A pinned map as a table. An array map has all rows always: removing one writes zeros. */
export class KernelTable implements Table {
  readonly name: string;
  readonly map: BpfMap;
  writes = 0;

  readonly #codecs: () => { key: Codec; value: Codec };
  #known: { key: RowCodec; value: RowCodec } | undefined;

  /** @param codecs called on first use: a ring buffer has none */
  constructor(name: string, map: BpfMap, codecs: () => { key: Codec; value: Codec }) {
    this.name = name;
    this.map = map;
    this.#codecs = codecs;
  }

  get key(): RowCodec {
    return this.#types().key;
  }

  get value(): RowCodec {
    return this.#types().value;
  }

  #types(): { key: RowCodec; value: RowCodec } {
    this.#known ??= this.#codecs() as unknown as { key: RowCodec; value: RowCodec };
    return this.#known;
  }

  entries(): [Buffer, Buffer][] {
    const rows = this.map.entries();
    return this.map.isArray ? rows.filter(([, value]) => value.some((byte) => byte !== 0)) : rows;
  }

  lookup(key: Buffer): Buffer | undefined {
    return this.map.lookup(key);
  }

  write(rows: readonly [Buffer, Buffer][]): void {
    if (rows.length === 0) return;
    this.map.updateBatch(rows);
    this.writes += rows.length;
  }

  writeEach(rows: readonly [Buffer, Buffer][]): RowRefusal[] {
    if (rows.length === 0) return [];
    const refusals = this.map.updateEach(rows);
    this.writes += rows.length - refusals.length;
    return refusals;
  }

  remove(keys: readonly Buffer[]): void {
    if (keys.length === 0) return;
    if (this.map.isArray) this.map.updateBatch(keys.map((key) => [key, Buffer.alloc(this.map.bufferSize)]));
    else this.map.deleteBatch(keys);
    this.writes += keys.length;
  }

  digest(): string {
    return this.map.digest();
  }
}
