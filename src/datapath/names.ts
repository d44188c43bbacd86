import { MAX_SHAPERS } from "../model/shape.ts";
import { Fault } from "./fault.ts";
import { MAX_SLOTS, MAX_TUNNELS } from "./layout.ts";
import { DEFAULT_SIZES, type PanelSizes } from "./sizes.ts";
import type { Table } from "./tables.ts";

const KINDS = ["port", "instance", "function", "shaper", "tunnel"] as const;
export type NameKind = (typeof KINDS)[number];

/** Courses hold instances' ids in 16 bits. */
const MOST_INSTANCES = 65536;
const NAME_BYTES = 56;

/** Kinds whose ids counters name for longer than anything else: they rest until these have been told to forget. */
const COUNTED: ReadonlySet<NameKind> = new Set(["port", "instance"]);

const byKind = <T>(make: () => T): Record<NameKind, T> =>
  Object.fromEntries(KINDS.map((kind) => [kind, make()])) as Record<NameKind, T>;

export interface NamesOptions {
  table: Table;
  sizes?: PanelSizes;
  /** Returns when every program run that began before has ended. */
  settle?: () => void;
  /** Makes counters forget ports and instances that are gone, so that no id's next owner inherits them. */
  forget?: () => void;
}

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
  readonly #forget: () => void;
  readonly #byId = byKind(() => new Map<number, Name>());
  /** Ids that were released and must not be handed out yet. */
  readonly #resting = byKind(() => new Set<number>());
  readonly #next = byKind(() => 1);
  /** Ids are from 1 up to, not including, this. */
  readonly #ends: Record<NameKind, number>;
  /** Names that were held and are not any more. */
  readonly #left = new Set<Name>();

  constructor({ table, sizes: { ports } = DEFAULT_SIZES, settle = () => {}, forget = () => {} }: NamesOptions) {
    this.#table = table;
    this.#settle = settle;
    this.#forget = forget;
    const instance = Math.min(MOST_INSTANCES, 4 * ports);
    this.#ends = { port: ports, instance, function: MAX_SLOTS, shaper: MAX_SHAPERS, tunnel: MAX_TUNNELS };
    for (const [key, value] of table.entries()) {
      const name = String(table.key.decode(key)["name"]);
      const kind = name.slice(0, name.indexOf(":")) as NameKind;
      if (!KINDS.includes(kind)) continue;
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

  /** Whether some name has this id. */
  isUsed(kind: NameKind, id: number): boolean {
    return this.#byId[kind].has(id);
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
    for (const kind of KINDS) if (!COUNTED.has(kind)) this.#resting[kind].clear();
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
    const count = this.#ends[kind] - 1;
    const used = this.#byId[kind];
    if (used.size < count && used.size + this.#resting[kind].size >= count) this.#wake();
    for (let i = 0; i < count && used.size < count; i++) {
      const id = 1 + ((this.#next[kind] - 1 + i) % count);
      if (!used.has(id) && !this.#resting[kind].has(id)) return id;
    }
    throw new Fault("no-id", `allocate ${kind} id: all ${count} are taken`);
  }

  /** All that is free rests: after a grace period, and once counters have forgotten what is gone, it can be had again. */
  #wake(): void {
    this.#settle();
    this.#forget();
    for (const kind of KINDS) this.#resting[kind].clear();
  }
}
