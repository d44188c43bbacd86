import { MAX_SHAPERS } from "../model/shape.ts";
import { MAX_PORTS, MAX_SLOTS } from "./layout.ts";
import type { Table } from "./tables.ts";

export type NameKind = "port" | "instance" | "function" | "shaper";

const RANGES: Record<NameKind, { first: number; end: number }> = {
  port: { first: 1, end: MAX_PORTS },
  instance: { first: 1, end: 16384 },
  function: { first: 1, end: MAX_SLOTS },
  shaper: { first: 1, end: MAX_SHAPERS },
};
const NAME_BYTES = 56;

/**
 * Ids by name, kept in the pinned map `weir_names`: small dense numbers that outlive the agent. A released id is
 * handed out again as late as possible, since packets under way may still carry it.
 */
export class Names {
  readonly #table: Table;
  readonly #ids = new Map<string, number>();
  readonly #used: Record<NameKind, Set<number>> = {
    port: new Set(),
    instance: new Set(),
    function: new Set(),
    shaper: new Set(),
  };
  readonly #next: Record<NameKind, number> = { port: 1, instance: 1, function: 1, shaper: 1 };

  constructor(table: Table) {
    this.#table = table;
    for (const [key, value] of table.entries()) {
      const name = String(table.key.decode(key)["name"]);
      const kind = name.slice(0, name.indexOf(":")) as NameKind;
      if (!(kind in RANGES)) continue;
      this.#take(kind, name, Number(table.value.decode(value)["id"]));
    }
  }

  /** The id of a name; a new one if it has none. Throws when the name is too long or all ids are taken. */
  id(kind: NameKind, name: string): number {
    const full = `${kind}:${name}`;
    const known = this.#ids.get(full);
    if (known !== undefined) return known;
    const key = this.#key(full);
    const id = this.#free(kind);
    this.#table.write([[key, this.#table.value.encode({ id, reserved: 0 })]]);
    this.#take(kind, full, id);
    return id;
  }

  /** The id, if the name has one. */
  find(kind: NameKind, name: string): number | undefined {
    return this.#ids.get(`${kind}:${name}`);
  }

  /** Names by id. */
  all(kind: NameKind): Map<number, string> {
    const prefix = `${kind}:`;
    const names = [...this.#ids].filter(([name]) => name.startsWith(prefix));
    return new Map(names.map(([name, id]) => [id, name.slice(prefix.length)]));
  }

  /** Releases every name of a kind that `keep` does not hold; their ids. */
  prune(kind: NameKind, keep: ReadonlySet<string>): number[] {
    const gone = [...this.all(kind)].filter(([, name]) => !keep.has(name));
    for (const [id, name] of gone) {
      const full = `${kind}:${name}`;
      this.#table.remove([this.#key(full)]);
      this.#ids.delete(full);
      this.#used[kind].delete(id);
    }
    return gone.map(([id]) => id);
  }

  #key(full: string): Buffer {
    if (Buffer.byteLength(full) >= NAME_BYTES) {
      throw new Error(`name ${full}: ${Buffer.byteLength(full)} bytes, at most ${NAME_BYTES - 1} fit`);
    }
    return this.#table.key.encode({ name: full });
  }

  #take(kind: NameKind, full: string, id: number): void {
    this.#ids.set(full, id);
    this.#used[kind].add(id);
    this.#next[kind] = Math.max(this.#next[kind], id + 1);
  }

  #free(kind: NameKind): number {
    const { first, end } = RANGES[kind];
    for (let i = 0; i < end - first; i++) {
      const id = first + ((this.#next[kind] - first + i) % (end - first));
      if (this.#used[kind].has(id)) continue;
      this.#next[kind] = id + 1;
      return id;
    }
    throw new Error(`allocate ${kind} id: all ${end - first} are taken`);
  }
}
