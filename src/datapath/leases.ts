import type { Change, InstanceLease } from "../model/document.ts";
import { Backoff } from "./backoff.ts";
import { outcomeOf } from "./fault.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Table } from "./tables.ts";

/** What renewing needs of the clocks: ms since the epoch, and the clock of the datapath, ns since the machine's start. */
export interface Clocks {
  wall(): number;
  monotonic(): bigint;
}

export const systemClocks: Clocks = { wall: () => Date.now(), monotonic: () => process.hrtime.bigint() };

/** Renewed once this part of a lease is over: two renewals may fail. */
const RENEW_AFTER = 1 / 3;
/** A time that is past on every machine; not 0, which tells a lease that nobody gave. */
const LONG_AGO = 1n;

interface Held {
  owner: string;
  lease: InstanceLease;
}

/**
 * Renews the leases of instances in `weir_leases`. The datapath alone ends them: when nobody renews, or at `until`.
 * Writes here do not count as changes: they are what a running agent always does.
 */
export class Leases {
  /** Rows written so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #table: Table;
  readonly #outcomes: Outcomes;
  readonly #clocks: Clocks;
  /** By instance. */
  readonly #held = new Map<string, Held>();
  /** To be written in this pass. */
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #idOf: (instance: string) => number | undefined;
  /** How many have each length, seconds. */
  readonly #lengths = new Map<number, number>();
  /** When all were renewed, ms of the monotonic clock. */
  #renewedAt = Number.NEGATIVE_INFINITY;

  /** @param idOf of an instance that is in force; undefined: its lease waits */
  constructor(
    table: Table,
    idOf: (instance: string) => number | undefined,
    outcomes: Outcomes,
    clocks: Clocks = systemClocks,
  ) {
    this.#table = table;
    this.#idOf = idOf;
    this.#outcomes = outcomes;
    this.#clocks = clocks;
    this.retry = new Backoff(() => this.#now());
  }

  get waiting(): number {
    return this.#failed.size;
  }

  take({ owner, item, gone }: Change<InstanceLease>): void {
    const { instance } = item;
    const before = this.#held.get(instance);
    if (before) this.#count(before.lease.seconds, -1);
    this.#held.delete(instance);
    this.#due.delete(instance);
    if (gone) {
      this.#settle(instance);
      return;
    }
    this.#held.set(instance, { owner, lease: item });
    this.#count(item.seconds, 1);
    this.#due.add(instance);
  }

  #count(seconds: number, more: number): void {
    const count = (this.#lengths.get(seconds) ?? 0) + more;
    if (count > 0) this.#lengths.set(seconds, count);
    else this.#lengths.delete(seconds);
  }

  /** These instances have ids now. */
  follow(instances: Iterable<string>): void {
    for (const instance of instances) if (this.#held.has(instance)) this.#due.add(instance);
  }

  tryAgain(): void {
    for (const instance of this.#failed) this.#due.add(instance);
  }

  /** Writes what is new or another one; all if they are to be renewed. */
  ensure(): void {
    if (this.interval === 0) {
      this.renew();
      return;
    }
    this.#write([...this.#due]);
  }

  /** Renews all. */
  renew(): void {
    this.#renewedAt = this.#now();
    this.#write([...this.#held.keys()]);
  }

  #write(instances: readonly string[]): void {
    const rows: { instance: string; owner: string; row: [Buffer, Buffer] }[] = [];
    for (const instance of instances) {
      this.#due.delete(instance);
      const held = this.#held.get(instance);
      const id = this.#idOf(instance);
      if (!held || id === undefined) continue; // it follows when it has one
      const row: [Buffer, Buffer] = [this.#table.key.encode({ instance: id }), this.#expiry(held.lease)];
      rows.push({ instance, owner: held.owner, row });
    }
    const refusals = this.#table.writeEach(rows.map(({ row }) => row));
    const refused = new Map(refusals.map(({ index, error }) => [index, error]));
    this.writes += rows.length - refusals.length;
    let isNew = false;
    for (const [index, { instance, owner }] of rows.entries()) {
      const error = refused.get(index);
      if (!error) {
        this.#settle(instance);
        continue;
      }
      isNew = isNew || !this.#failed.has(instance);
      this.#failed.add(instance);
      this.#outcomes.set(`lease ${instance}`, outcomeOf(owner, error));
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  #settle(instance: string): void {
    this.#failed.delete(instance);
    this.#outcomes.set(`lease ${instance}`, undefined);
  }

  /** How soon the next renewal of all is due, ms; undefined if nothing is leased. */
  get interval(): number | undefined {
    if (this.#held.size === 0) return undefined;
    const shortest = Math.min(...this.#lengths.keys());
    return Math.max(0, shortest * 1000 * RENEW_AFTER - (this.#now() - this.#renewedAt));
  }

  #now(): number {
    return Number(this.#clocks.monotonic() / 1_000_000n);
  }

  /** ms that an instance still acts; undefined if it has no lease. */
  remaining(id: number): number | undefined {
    const row = this.#table.lookup(this.#table.key.encode({ instance: id }));
    if (!row) return undefined;
    const left = row.readBigUInt64LE() - this.#clocks.monotonic();
    return left > 0n ? Number(left / 1_000_000n) : 0;
  }

  #expiry({ seconds, until }: InstanceLease): Buffer {
    const left = Math.min(seconds * 1000, until === undefined ? Number.POSITIVE_INFINITY : until - this.#clocks.wall());
    const row = Buffer.alloc(8);
    row.writeBigUInt64LE(left <= 0 ? LONG_AGO : this.#clocks.monotonic() + BigInt(Math.round(left * 1e6)));
    return row;
  }
}
