import { MAX_SHAPERS } from "../model/shape.ts";
import { Fault } from "./fault.ts";
import { MAX_PORTS, MAX_SLOTS } from "./layout.ts";
import type { Table } from "./tables.ts";

export type NameKind = "port" | "instance" | "function" | "shaper";

const RANGES: Record<NameKind, { first: number; end: number }> = {
  port: { first: 1, end: MAX_PORTS },
  instance: { first: 1, end: 16384 },
  function: { first: 1, end: MAX_SLOTS },
  shaper: { first: 1, end: MAX_SHAPERS },
};
const KINDS = Object.keys(RANGES) as NameKind[];
const NAME_BYTES = 56;

/** A name and its id. */
export interface Name {
  readonly kind: NameKind;
  readonly name: string;
  readonly id: number;
  /** How many items that the kernel may act on, or that are wanted, stand for it by its id. */
  uses: number;
}

/**
 * Ids by name, kept in the pinned map `weir_names`: small dense numbers that outlive the agent. An id stays its name's for
 * as long as anything holds it. A released one is handed out again as late as possible, and never before a grace period
 * has passed, since a program that is running may still have it in its hands.
 */
export class Names {
  readonly #table: Table;
  readonly #settle: () => void;
  readonly #ids = new Map<string, Name>();
  readonly #byId: Record<NameKind, Map<number, Name>> = {
    port: new Map(),
    instance: new Map(),
    function: new Map(),
    shaper: new Map(),
  };
  /** Released since the last grace period. */
  readonly #resting: Record<NameKind, Set<number>> = {
    port: new Set(),
    instance: new Set(),
    function: new Set(),
    shaper: new Set(),
  };
  readonly #next: Record<NameKind, number> = { port: 1, instance: 1, function: 1, shaper: 1 };
  /** Names that were held and are not any more. */
  readonly #left = new Set<Name>();

  /** @param settle returns when every program run that began before has ended */
  constructor(table: Table, settle: () => void = () => {}) {
    this.#table = table;
    this.#settle = settle;
    for (const [key, value] of table.entries()) {
      const name = String(table.key.decode(key)["name"]);
      const kind = name.slice(0, name.indexOf(":")) as NameKind;
      if (!(kind in RANGES)) continue;
      this.#take({ kind, name: name.slice(kind.length + 1), id: Number(table.value.decode(value)["id"]), uses: 0 });
    }
  }

  /** The id of a name; a new one if it has none. @throws Fault `no-id`: all are taken; `encode`: the name is too long */
  id(kind: NameKind, name: string): number {
    return this.#get(kind, name).id;
  }

  /** The same, and keeps the id the name's own until it is dropped as often. */
  hold(kind: NameKind, name: string): Name {
    const found = this.#get(kind, name);
    found.uses++;
    this.#left.delete(found);
    return found;
  }

  drop(name: Name): void {
    name.uses--;
    if (name.uses === 0) this.#left.add(name);
  }

  /** The id, if the name has one. */
  find(kind: NameKind, name: string): number | undefined {
    return this.#ids.get(`${kind}:${name}`)?.id;
  }

  /** Names by id. */
  all(kind: NameKind): Map<number, string> {
    return new Map([...this.#byId[kind]].map(([id, { name }]) => [id, name]));
  }

  /** Names of a kind that nothing holds: those that were held, or, with `whole`, all. */
  unheld(kind: NameKind, whole = false): Name[] {
    const names = whole ? this.#byId[kind].values() : this.#left;
    return [...names].filter((one) => one.kind === kind && one.uses === 0);
  }

  /** Gives ids back. */
  release(names: readonly Name[]): void {
    if (names.length === 0) return;
    this.#table.remove(names.map(({ kind, name }) => this.#key(`${kind}:${name}`)));
    for (const one of names) {
      this.#left.delete(one);
      this.#ids.delete(`${one.kind}:${one.name}`);
      this.#byId[one.kind].delete(one.id);
      this.#resting[one.kind].add(one.id);
    }
  }

  /** Releases every name of a kind that `keep` does not hold; their ids. */
  prune(kind: NameKind, keep: ReadonlySet<string>): number[] {
    const gone = [...this.#byId[kind].values()].filter(({ name }) => !keep.has(name));
    this.release(gone);
    return gone.map(({ id }) => id);
  }

  /** Writes back rows that somebody removed or changed, and removes those of nobody. */
  scrub(): void {
    const missing = new Map(this.#ids);
    for (const [key, value] of this.#table.entries()) {
      const full = String(this.#table.key.decode(key)["name"]);
      const known = this.#ids.get(full);
      if (!known) this.#table.remove([key]);
      else if (known.id === Number(this.#table.value.decode(value)["id"])) missing.delete(full);
    }
    const rows = [...missing].map(([full, { id }]): [Buffer, Buffer] => [
      this.#key(full),
      this.#table.value.encode({ id, reserved: 0 }),
    ]);
    this.#table.write(rows);
  }

  /** A grace period has passed since the last release. */
  settled(): void {
    for (const kind of KINDS) this.#resting[kind].clear();
  }

  #get(kind: NameKind, name: string): Name {
    const full = `${kind}:${name}`;
    const known = this.#ids.get(full);
    if (known) return known;
    const key = this.#key(full);
    const id = this.#free(kind);
    this.#table.write([[key, this.#table.value.encode({ id, reserved: 0 })]]);
    const made = { kind, name, id, uses: 0 };
    this.#take(made);
    this.#next[kind] = id + 1;
    return made;
  }

  #key(full: string): Buffer {
    if (Buffer.byteLength(full) >= NAME_BYTES) {
      const size = `${Buffer.byteLength(full)} bytes, at most ${NAME_BYTES - 1} fit`;
      throw new Fault("encode", `name ${full}: ${size}`);
    }
    return this.#table.key.encode({ name: full });
  }

  #take(name: Name): void {
    const { kind, id } = name;
    this.#ids.set(`${kind}:${name.name}`, name);
    this.#byId[kind].set(id, name);
    this.#next[kind] = Math.max(this.#next[kind], id + 1);
  }

  #free(kind: NameKind): number {
    const { first, end } = RANGES[kind];
    const count = end - first;
    const used = this.#byId[kind];
    if (used.size >= count) throw new Fault("no-id", `allocate ${kind} id: all ${count} are taken`);
    if (used.size + this.#resting[kind].size >= count) {
      this.#settle();
      this.settled();
    }
    for (let i = 0; i < count; i++) {
      const id = first + ((this.#next[kind] - first + i) % count);
      if (!used.has(id) && !this.#resting[kind].has(id)) return id;
    }
    throw new Fault("no-id", `allocate ${kind} id: all ${count} are taken`);
  }
}
