import { idKey, type Table } from "./tables.ts";

/** `WEIR_NEAR`, of each generation. */
export const NEAR = 2048;

/**
 * The devices of one generation that programs find without hashing, in `weir_near`: one for each slot, which is the low
 * bits of its ifindex. The first to come has the slot; all are in `weir_devices`.
 */
export class Near {
  readonly #table: Table;
  readonly #gen: number;
  readonly #held = new Map<number, { ifindex: number; port: number }>();

  constructor(table: Table, gen: number) {
    this.#table = table;
    this.#gen = gen;
  }

  /** Reads the rows back, and makes them agree with these ports by ifindex. */
  reload(ports: ReadonlyMap<number, number>): void {
    this.#held.clear();
    for (const [key, value] of this.#table.entries()) {
      const row = key.readUInt32LE();
      if (row % 2 !== this.#gen) continue;
      const { ifindex, port } = this.#table.value.decode(value) as { ifindex: number; port: number };
      const slot = Math.floor(row / 2);
      if (ports.get(ifindex) === port && ifindex % NEAR === slot) this.#held.set(slot, { ifindex, port });
      else this.#table.remove([key]);
    }
    for (const [ifindex, port] of ports) this.set(ifindex, port);
  }

  /** Compares the rows with the kernel's, and rewrites those that somebody changed. */
  scrub(): void {
    const missing = new Map(this.#held);
    for (const [key, value] of this.#table.entries()) {
      const row = key.readUInt32LE();
      if (row % 2 !== this.#gen) continue;
      const slot = Math.floor(row / 2);
      const held = missing.get(slot);
      if (!held) this.#table.remove([key]);
      else if (this.#table.value.encode({ ...held }).equals(value)) missing.delete(slot);
    }
    this.#table.write(
      [...missing].map(([slot, held]) => [idKey(slot * 2 + this.#gen), this.#table.value.encode({ ...held })]),
    );
  }

  /** A device leads to a port now; undefined: to none. */
  set(ifindex: number, port: number | undefined): void {
    const slot = ifindex % NEAR;
    const held = this.#held.get(slot);
    if (held?.port === port && held?.ifindex === ifindex) return;
    if (held && held.ifindex !== ifindex) return;
    const key = idKey(slot * 2 + this.#gen);
    if (port !== undefined) {
      this.#table.write([[key, this.#table.value.encode({ ifindex, port })]]);
      this.#held.set(slot, { ifindex, port });
    } else if (held) {
      this.#table.remove([key]);
      this.#held.delete(slot);
    }
  }
}
