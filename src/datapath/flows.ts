import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BpfMap, type BpfObject, type Codec, codec, loadObject, UPDATE } from "../kernel/index.ts";
import { FLOW_MAP, FLOW_TABLE_SIZE, type FlowTableSize, withFlows } from "./flow-folder.ts";
import { type Cut, FLOW_WAYS, type FlowRow, rowsOfBucket } from "./flow-rows.ts";
import { FLOW_STATES, FLOW_TIMEOUTS, type FlowState, flowTime, flowUnits, timeoutsOf } from "./flow-states.ts";
import { type Criteria, Sweeper } from "./flow-sweep.ts";
import { type ObjectFile, readObject } from "./objects.ts";

/** Buckets in a turn of work that others have to wait for: under a millisecond. */
const SLICE = 256;
/** An owner without a quota of its own may have this part of the rows: one in so many. */
const SHARE = 2;

/** What one owner has of the table, and what became of flows that it opened. */
export interface FlowOwner {
  owner: number;
  /** Rows; those that have expired count until another takes their place. */
  held: number;
  opened: bigint;
  /** Refused, since the translated tuple was another flow's. */
  taken: bigint;
  /** Living rows that made room for its flows: its own, and others'. */
  replaced: bigint;
  evicted: bigint;
  /** Its living rows that made room for others' flows. */
  lost: bigint;
  /** Refused, since there was no room that it could have. */
  refused: bigint;
}

/** The flow table of a node, which outlives panels and agents: reads it, removes from it, sets what it goes by. */
export class FlowTable {
  readonly folder: string;
  readonly buckets: number;
  /** Bytes of kernel memory, used or not. */
  readonly bytes: number;
  readonly #maps: Readonly<Record<keyof typeof FLOW_MAP, BpfMap>>;
  readonly #codecs: Readonly<Record<"row" | "owner" | "config", Codec>>;
  readonly #sweeper: Sweeper;

  private constructor(folder: string, file: ObjectFile) {
    this.folder = folder;
    const open = (map: keyof typeof FLOW_MAP): BpfMap => BpfMap.open(join(folder, FLOW_MAP[map]));
    this.#maps = { buckets: open("buckets"), owners: open("owners"), quotas: open("quotas"), config: open("config") };
    this.#codecs = {
      row: codec(file.spec.btf, "weir_flow"),
      owner: file.spec.codecs(FLOW_MAP.owners).value,
      config: file.spec.codecs(FLOW_MAP.config).value,
    };
    this.buckets = this.#maps.buckets.maxEntries;
    this.bytes = Object.values(this.#maps).reduce((sum, { maxEntries, valueSize }) => sum + maxEntries * valueSize, 0);
    const load = (): BpfObject => loadSweep(folder, file, FLOW_TABLE_SIZE);
    this.#sweeper = new Sweeper(load, file.spec.codecs("weir_flow_sweeps").value);
  }

  /**
   * Opens the table in this folder. A new one gets its keys, time-outs and quotas; no packet may have used it yet.
   * @param objects folder of the compiled objects
   */
  static open(folder: string, objects: string): FlowTable {
    const table = new FlowTable(folder, readObject(objects, "flows"));
    if (table.#config()["mask"] === 0) table.#begin();
    return table;
  }

  /** Makes the table without a function that uses it, and opens it. */
  static create(folder: string, objects: string, size: FlowTableSize = FLOW_TABLE_SIZE): FlowTable {
    loadSweep(folder, readObject(objects, "flows"), size).close();
    return FlowTable.open(folder, objects);
  }

  /** Rows that the table has room for. */
  get ways(): number {
    return this.buckets * FLOW_WAYS;
  }

  /** Rows in use, of buckets `from` to `from + count`: flows and aliases, those that have expired too. */
  *rows(from = 0, count = this.buckets): Generator<FlowRow> {
    const now = flowTime();
    for (let bucket = from; bucket < Math.min(from + count, this.buckets); bucket++) {
      const bytes = this.#maps.buckets.lookup(u32(bucket), UPDATE.lock);
      if (bytes) yield* rowsOfBucket(bytes, bucket, now, this.#codecs.row);
    }
  }

  /** Owners that have, or had, anything of the table. */
  owners(): FlowOwner[] {
    const used = this.#maps.owners.entries().filter(([, value]) => value.some((byte) => byte !== 0));
    return used.map(([key, value]) => ownerOf(key.readUInt32LE(), this.#codecs.owner.decode(value)));
  }

  /** One of them; zeros if it never had any. @throws Error if its id is beyond the table's owners */
  owner(owner: number): FlowOwner {
    const bytes = this.#maps.owners.lookup(u32(owner));
    if (!bytes) throw new Error(`read flows of owner ${owner}: the table has ${this.#maps.owners.maxEntries} owners`);
    return ownerOf(owner, this.#codecs.owner.decode(bytes));
  }

  /** Removes rows that have all of these fields, slice by slice. Returns how many. */
  async remove(criteria: Criteria, signal?: AbortSignal): Promise<number> {
    return this.#bySlices((from, count) => this.#sweeper.sweep(criteria, from, count).removed, signal);
  }

  /** Removes flows that a predicate chooses, with their aliases, slice by slice. Returns how many flows. */
  async removeWhere(goes: (row: FlowRow) => boolean, signal?: AbortSignal): Promise<number> {
    const chosen = (from: number, count: number): FlowRow[] =>
      [...this.rows(from, count)].filter((row) => row.kind === "flow" && goes(row));
    return this.#bySlices((from, count) => this.cut(chosen(from, count).map(({ cut }) => cut)), signal);
  }

  /** Removes these very flows: a row that is another flow's by now stays. Returns how many were still there. */
  cut(cuts: readonly Cut[]): number {
    const removed = this.#sweeper.cut(cuts.map(({ row }) => row));
    this.#sweeper.cut(cuts.flatMap(({ twin }) => (twin === 0n ? [] : [twin])));
    return removed;
  }

  /** Seconds by state; what is not named stays. Holds for packets from now on. */
  setTimeouts(seconds: Partial<Readonly<Record<FlowState, number>>>): void {
    const timeout = [...(this.#config()["timeout"] as number[])];
    for (const [state, value] of Object.entries(seconds)) {
      timeout[FLOW_STATES.indexOf(state as FlowState)] = flowUnits(value);
    }
    this.#writeConfig({ timeout });
  }

  /**
   * Rows that one owner may have: every owner without a quota of its own, or this one (0: as the others). Beyond it the
   * owner has its part of each bucket, so one that uses most of its quota loses some flows early.
   */
  setQuota(rows: number, owner?: number): void {
    if (owner === undefined) this.#writeConfig({ quota: rows });
    else this.#maps.quotas.update(u32(owner), u32(rows));
  }

  close(): void {
    this.#sweeper.close();
    for (const map of Object.values(this.#maps)) map.close();
  }

  async #bySlices(work: (from: number, count: number) => number, signal?: AbortSignal): Promise<number> {
    let sum = 0;
    for (let from = 0; from < this.buckets; from += SLICE) {
      sum += work(from, Math.min(SLICE, this.buckets - from));
      await new Promise(setImmediate);
      signal?.throwIfAborted();
    }
    return sum;
  }

  #config(): ReturnType<Codec["decode"]> {
    return this.#codecs.config.decode(this.#maps.config.lookup(u32(0)) as Buffer);
  }

  #writeConfig(change: Record<string, number | number[] | bigint[]>): void {
    this.#maps.config.update(u32(0), this.#codecs.config.encode({ ...this.#config(), ...change }));
  }

  #begin(): void {
    const bytes = randomBytes(64);
    this.#writeConfig({
      mix: [bytes.readBigUInt64LE(0) | 1n, bytes.readBigUInt64LE(8) | 1n],
      key: Array.from({ length: 12 }, (_, i) => bytes.readUInt32LE(16 + 4 * i)),
      mask: this.buckets - 1,
      quota: this.ways / SHARE,
      timeout: timeoutsOf(FLOW_TIMEOUTS),
    });
  }
}

/** Loads the programs that remove rows, with the table's maps, which are made if they are not there. */
function loadSweep(folder: string, { path }: ObjectFile, size: FlowTableSize): BpfObject {
  const { elsewhere = {}, rows = {} } = withFlows(folder, size);
  return loadObject(path, { pinAt: elsewhere, maxEntries: rows });
}

function ownerOf(owner: number, row: ReturnType<Codec["decode"]>): FlowOwner {
  const { held, opened, taken, replaced, evicted, lost, refused } = row as unknown as Record<keyof FlowOwner, bigint>;
  return { owner, held: Number(held), opened, taken, replaced, evicted, lost, refused };
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
