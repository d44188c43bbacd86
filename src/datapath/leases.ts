import type { InstanceLease } from "../model/desired.ts";
import type { KernelTable } from "./kernel-table.ts";

/** What renewing needs of the clocks: ms since the epoch, and the clock of the datapath, ns since the machine's start. */
export interface Clocks {
  wall(): number;
  monotonic(): bigint;
}

export const systemClocks: Clocks = { wall: () => Date.now(), monotonic: () => process.hrtime.bigint() };

/** Renewed once this part of a lease is over: two renewals may fail. */
const RENEW_AFTER = 1 / 3;
/** A time that is past on every machine, and tells an ended lease from one that nobody gave. */
const LONG_AGO = 1n;

/**
 * Renews the leases of instances in `weir_leases`. The datapath alone ends them: when nobody renews, or at `until`.
 * Writes here do not count as changes: they are what a running agent always does.
 */
export class Leases {
  readonly #table: KernelTable;
  readonly #clocks: Clocks;
  #held: ReadonlyMap<number, InstanceLease> = new Map();
  /** When all were renewed, ms of the monotonic clock. */
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(table: KernelTable, clocks: Clocks = systemClocks) {
    this.#table = table;
    this.#clocks = clocks;
  }

  /** Takes over what is to be renewed from now on: what is new or another one is renewed at once, the rest when it is due. */
  follow(leases: readonly InstanceLease[], instanceId: (name: string) => number): void {
    const before = this.#held;
    this.#held = new Map(leases.map((lease) => [instanceId(lease.instance), lease]));
    if (this.interval === 0) {
      this.renew();
      return;
    }
    const isKnown = (id: number, { seconds, until }: InstanceLease): boolean => {
      const held = before.get(id);
      return held?.seconds === seconds && held.until === until;
    };
    this.#write([...this.#held].filter(([id, lease]) => !isKnown(id, lease)));
  }

  /** Renews all. */
  renew(): void {
    this.#renewedAt = this.#now();
    this.#write([...this.#held]);
  }

  #write(leases: readonly [id: number, lease: InstanceLease][]): void {
    if (leases.length === 0) return;
    const { key, map } = this.#table;
    map.updateBatch(leases.map(([id, lease]) => [key.encode({ instance: id }), this.#expiry(lease)]));
  }

  /** How soon the next renewal of all is due, ms; undefined if nothing is leased. */
  get interval(): number | undefined {
    if (this.#held.size === 0) return undefined;
    const shortest = Math.min(...[...this.#held.values()].map(({ seconds }) => seconds));
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
