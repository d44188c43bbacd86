import { MAX_SHAPERS } from "../model/shape.ts";
import { Fault } from "./fault.ts";
import { MAX_SLOTS, MAX_TUNNELS } from "./layout.ts";
import { DEFAULT_SIZES, type PanelSizes } from "./sizes.ts";
import type { Table } from "./tables.ts";

const KINDS = ["port", "instance", "function", "shaper", "tunnel"] as const;
export type NameKind = (typeof KINDS)[number];

/** The limit of instance ids: courses hold them in 16 bits. */
const MOST_INSTANCES = 65536;
const NAME_BYTES = 56;

/** Kinds whose ids appear in counters. A released id of these is not reused until the counters were reset. */
const COUNTED: ReadonlySet<NameKind> = new Set(["port", "instance"]);

const byKind = <T>(make: () => T): Record<NameKind, T> =>
  Object.fromEntries(KINDS.map((kind) => [kind, make()])) as Record<NameKind, T>;

export interface NamesOptions {
  table: Table;
  sizes?: PanelSizes;
  /** Returns when every program run that began before has ended. */
  settle?: () => void;
  /** Resets the counters of removed ports and instances, so that the next user of an id starts at zero. */
  forget?: () => void;
}

/** A name with its id. */
export interface Name {
  readonly kind: NameKind;
  readonly name: string;
  readonly id: number;
  /** The number of items that refer to the id, in the document or in the kernel. */
  uses: number;
}

/**
 * Small dense ids by name, stored in the pinned map `weir_names`, so that they survive restarts. An id belongs to its
 * name as long as anything refers to it. A released id is reused as late as possible, and not before a grace period,
 * since a running program may still use it.
 */
export class Names {
  readonly #table: Table;
  readonly #settle: () => void;
  readonly #ids = new Map<string, Name>();
  readonly #forget: () => void;
  readonly #byId = byKind(() => new Map<number, Name>());
  /** Released ids that must not be reused yet. */
  readonly #resting = byKind(() => new Set<number>());
  readonly #next = byKind(() => 1);
  /** Ids are from 1 to this, exclusive. */
  readonly #ends: Record<NameKind, number>;
  /** Names that nothing refers to any more. */
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

  /**
   * The id of a name, allocated if needed. @throws Fault `no-id`: all ids are in use; `encode`: the name is too long
   */
  id(kind: NameKind, name: string): number {
    return this.#get(kind, name).id;
  }

  /** Like `id`, and adds a reference, which the caller must drop. */
  hold(kind: NameKind, name: string): Name {
    const found = this.#get(kind, name);
    found.uses++;
    this.#left.delete(found);
    return found;
  }

  /**
   * Gives the id of a name, which has one reference, to a new name with that reference.
   * @throws Fault `encode`: the new name is too long; Error: it has an id already
   */
  rename(before: Name, name: string): Name {
    const { kind, id } = before;
    if (this.find(kind, name) !== undefined) throw new Error(`rename ${kind} ${before.name}: ${name} has an id`);
    const key = this.#key(`${kind}:${name}`);
    this.#table.write([[key, this.#table.value.encode({ id, reserved: 0 })]]);
    this.#table.remove([this.#key(`${kind}:${before.name}`)]);
    this.#ids.delete(`${kind}:${before.name}`);
    const after = { kind, name, id, uses: 1 };
    this.#take(after);
    return after;
  }

  drop(name: Name): void {
    name.uses--;
    if (name.uses === 0) this.#left.add(name);
  }

  /** The id of a name, if it has one. */
  find(kind: NameKind, name: string): number | undefined {
    return this.#ids.get(`${kind}:${name}`)?.id;
  }

  /** Names by id. */
  all(kind: NameKind): Map<number, string> {
    return new Map([...this.#byId[kind]].map(([id, { name }]) => [id, name]));
  }

  /** Whether a name has this id. */
  isUsed(kind: NameKind, id: number): boolean {
    return this.#byId[kind].has(id);
  }

  /** Names of a kind without references: those that lost their last one, or with `whole` all. */
  unheld(kind: NameKind, whole = false): Name[] {
    const names = whole ? this.#byId[kind].values() : this.#left;
    return [...names].filter((one) => one.kind === kind && one.uses === 0);
  }

  /** Releases the ids of these names. */
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

  /** Releases all names of a kind that are not in `keep`. Returns their ids. */
  prune(kind: NameKind, keep: ReadonlySet<string>): number[] {
    const gone = [...this.#byId[kind].values()].filter(({ name }) => !keep.has(name));
    this.release(gone);
    return gone.map(({ id }) => id);
  }

  /** Restores rows that somebody removed or changed, and removes unknown ones. */
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

  /** Records that a grace period has passed since the last release. */
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

  /** Waits for a grace period and resets counters, after which all released ids can be reused. */
  #wake(): void {
    this.#settle();
    this.#forget();
    for (const kind of KINDS) this.#resting[kind].clear();
  }
}
