import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BpfMap, type BpfObject, type Codec, codec, loadObject, UPDATE } from "../kernel/index.ts";
import { FLOW_MAP, FLOW_TABLE_SIZE, type FlowTableSize, withFlows } from "./flow-folder.ts";
import { type Cut, FLOW_WAYS, type FlowRow, rowsOfBucket } from "./flow-rows.ts";
import { FLOW_STATES, FLOW_TIMEOUTS, type FlowState, flowTime, flowUnits, timeoutsOf } from "./flow-states.ts";
import { type Criteria, Sweeper } from "./flow-sweep.ts";
import { type ObjectFile, readObject } from "./objects.ts";

/** Buckets per slice of work that blocks the event loop: under a millisecond. */
const SLICE = 256;
/** The share of rows that an owner without a quota of its own may use: one in this many. */
const SHARE = 2;

/** An owner's use of the table, and counts of the flows that it opened. */
export interface FlowOwner {
  owner: number;
  /** Rows; expired ones count until they are reused. */
  held: number;
  opened: bigint;
  /** Flows refused because their translated tuple was in use. */
  taken: bigint;
  /** Live rows evicted for this owner's flows, whoever owned them. */
  replaced: bigint;
  evicted: bigint;
  /** Its live rows evicted for other owners' flows. */
  lost: bigint;
  /** Flows refused because there was no room that it could use. */
  refused: bigint;
}

/**
 * The flow table of a node: reads rows, removes rows, sets timeouts and quotas. It is independent of panels and agents.
 */
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
   * Opens the table in this folder. A new table is initialized with keys, timeouts and quotas before any packet uses
   * it.
   * @param objects folder of the compiled objects
   */
  static open(folder: string, objects: string): FlowTable {
    const table = new FlowTable(folder, readObject(objects, "flows"));
    if (table.#config()["mask"] === 0) table.#begin();
    return table;
  }

  /** Creates the table without a function that uses it, and opens it. */
  static create(folder: string, objects: string, size: FlowTableSize = FLOW_TABLE_SIZE): FlowTable {
    loadSweep(folder, readObject(objects, "flows"), size).close();
    return FlowTable.open(folder, objects);
  }

  /** The number of rows in the table. */
  get ways(): number {
    return this.buckets * FLOW_WAYS;
  }

  /** Rows in use in buckets `from` to `from + count`: flows and aliases, including expired ones. */
  *rows(from = 0, count = this.buckets): Generator<FlowRow> {
    const now = flowTime();
    for (let bucket = from; bucket < Math.min(from + count, this.buckets); bucket++) {
      const bytes = this.#maps.buckets.lookup(u32(bucket), UPDATE.lock);
      if (bytes) yield* rowsOfBucket(bytes, bucket, now, this.#codecs.row);
    }
  }

  /** Owners that have, or have had, rows in the table. */
  owners(): FlowOwner[] {
    const used = this.#maps.owners.entries().filter(([, value]) => value.some((byte) => byte !== 0));
    return used.map(([key, value]) => ownerOf(key.readUInt32LE(), this.#codecs.owner.decode(value)));
  }

  /** One owner; zeros if it never had a row. @throws Error if the id is out of range */
  owner(owner: number): FlowOwner {
    const bytes = this.#maps.owners.lookup(u32(owner));
    if (!bytes) throw new Error(`read flows of owner ${owner}: the table has ${this.#maps.owners.maxEntries} owners`);
    return ownerOf(owner, this.#codecs.owner.decode(bytes));
  }

  /** Removes rows that have all of these fields, slice by slice. Returns how many were removed. */
  async remove(criteria: Criteria, signal?: AbortSignal): Promise<number> {
    return this.#bySlices((from, count) => this.#sweeper.sweep(criteria, from, count).removed, signal);
  }

  /**
   * Removes flows that the predicate selects, with their aliases, slice by slice. Returns how many flows were removed.
   */
  async removeWhere(goes: (row: FlowRow) => boolean, signal?: AbortSignal): Promise<number> {
    const chosen = (from: number, count: number): FlowRow[] =>
      [...this.rows(from, count)].filter((row) => row.kind === "flow" && goes(row));
    return this.#bySlices((from, count) => this.cut(chosen(from, count).map(({ cut }) => cut)), signal);
  }

  /** Removes exactly these flows: a row that was reused by another flow stays. Returns how many still existed. */
  cut(cuts: readonly Cut[]): number {
    const removed = this.#sweeper.cut(cuts.map(({ row }) => row));
    this.#sweeper.cut(cuts.flatMap(({ twin }) => (twin === 0n ? [] : [twin])));
    return removed;
  }

  /** Sets timeouts in seconds by state; states that are not given keep theirs. Applies to packets from now on. */
  setTimeouts(seconds: Partial<Readonly<Record<FlowState, number>>>): void {
    const timeout = [...(this.#config()["timeout"] as number[])];
    for (const [state, value] of Object.entries(seconds)) {
      timeout[FLOW_STATES.indexOf(state as FlowState)] = flowUnits(value);
    }
    this.#writeConfig({ timeout });
  }

  /**
   * Sets the number of rows that one owner may have; without `owner`, the default for all others (0 for an owner: the
   * default). An owner above its quota is confined to its share of each bucket, so it may lose flows shortly before it
   * reaches the quota.
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

/** Loads the programs that remove rows, with the table's maps; creates them if they do not exist. */
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
