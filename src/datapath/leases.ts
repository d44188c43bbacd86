import type { Change, InstanceLease } from "../model/document.ts";
import { Backoff } from "./backoff.ts";
import { outcomeOf } from "./fault.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Table } from "./tables.ts";

/** The clocks: `now` in ms since the epoch, and the datapath's monotonic clock in ns. */
export interface Clocks {
  wall(): number;
  monotonic(): bigint;
}

export const systemClocks: Clocks = { wall: () => Date.now(), monotonic: () => process.hrtime.bigint() };

/** A lease is renewed after this part of its length, so that two renewals may fail. */
const RENEW_AFTER = 1 / 3;
/** An expired time. Not 0, which a row without a lease has. */
const LONG_AGO = 1n;

interface Held {
  owner: string;
  lease: InstanceLease;
}

/**
 * Renews the leases of instances in `weir_leases`. A lease ends in the datapath alone: when it is not renewed, or at
 * `until`. Renewals are not counted as writes of a pass, since they never stop.
 */
export class Leases {
  /** Rows written so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #table: Table;
  readonly #outcomes: Outcomes;
  readonly #clocks: Clocks;
  /** Leases by instance. */
  readonly #held = new Map<string, Held>();
  /** Instances to write in this pass. */
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #idOf: (instance: string) => number | undefined;
  /** The number of leases of each length, seconds. */
  readonly #lengths = new Map<number, number>();
  /** When all leases were last renewed, ms of the monotonic clock. */
  #renewedAt = Number.NEGATIVE_INFINITY;

  /** @param idOf id of an instance that is in force; undefined: its lease is written later */
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

  /** Writes the leases of instances that got an id. */
  follow(instances: Iterable<string>): void {
    for (const instance of instances) if (this.#held.has(instance)) this.#due.add(instance);
  }

  tryAgain(): void {
    for (const instance of this.#failed) this.#due.add(instance);
  }

  /** Writes new and changed leases; all of them if a renewal is due. */
  ensure(): void {
    if (this.interval === 0) {
      this.renew();
      return;
    }
    this.#write([...this.#due]);
  }

  /** Renews all leases. */
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
      if (!held || id === undefined) continue; // written once the instance has an id
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

  /** ms until the next renewal of all leases is due; undefined: there are none. */
  get interval(): number | undefined {
    if (this.#held.size === 0) return undefined;
    const shortest = Math.min(...this.#lengths.keys());
    return Math.max(0, shortest * 1000 * RENEW_AFTER - (this.#now() - this.#renewedAt));
  }

  #now(): number {
    return Number(this.#clocks.monotonic() / 1_000_000n);
  }

  /** ms until an instance's lease ends; undefined: it has none. */
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
