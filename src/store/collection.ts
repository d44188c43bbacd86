import { type Key, KeySet, KeySets, Slot } from "./slot.ts";

/** Returns the index values of a row, e.g. its namespace. */
export type Indexer<T> = (row: T, key: Key) => Iterable<string>;

/** A change of one row. `undefined` means that the row is absent. */
export interface Change<T> {
  key: Key;
  before: T | undefined;
  after: T | undefined;
}

/** The read-only view of a collection. */
export interface Readable<T> {
  readonly name: string;
  readonly place: number;
  readonly size: number;
  get(key: Key): T | undefined;
  has(key: Key): boolean;
  /** Sorted keys of all rows, or of the rows that have this value in an index. */
  keys(index?: string, value?: string): readonly Key[];
  rows(): IterableIterator<[Key, T]>;
  /**
   * Calls `watcher` synchronously for each change. It may only record the change: it runs while the collection is
   * written.
   */
  watch(watcher: (change: Change<T>) => void): void;
  /** The slot that a reader of this row subscribes to. */
  slot(key: Key): Slot;
  /** The key set that a reader subscribes to, for its keys or only for whether it is empty. */
  keySet(index?: string, value?: string): KeySet;
}

export interface CollectionOptions<T> {
  /** Position in the order of declaration. A derived collection may only read collections with a smaller one. */
  place?: number;
  indexes?: Readonly<Record<string, Indexer<T>>>;
  /** Rows for which it returns true are equal, and writing one is not a change. Default: `Object.is`. */
  same?: (one: T, other: T) => boolean;
}

/** Immutable rows by key, with secondary indexes. */
export class Collection<T> implements Readable<T> {
  readonly name: string;
  readonly place: number;
  readonly #rows = new Map<Key, T>();
  readonly #slots = new Map<Key, Slot>();
  readonly #indexes: ReadonlyMap<string, { of: Indexer<T>; sets: KeySets }>;
  readonly #all = new KeySet();
  readonly #same: (one: T, other: T) => boolean;
  readonly #watchers: ((change: Change<T>) => void)[] = [];

  constructor(name: string, { place = 0, indexes = {}, same = Object.is }: CollectionOptions<T> = {}) {
    this.name = name;
    this.place = place;
    this.#same = same;
    this.#indexes = new Map(Object.entries(indexes).map(([index, of]) => [index, { of, sets: new KeySets() }]));
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: Key): T | undefined {
    return this.#rows.get(key);
  }

  has(key: Key): boolean {
    return this.#rows.has(key);
  }

  keys(index?: string, value = ""): readonly Key[] {
    const set = index === undefined ? this.#all : this.#sets(index).get(value);
    return set?.sorted() ?? [];
  }

  rows(): IterableIterator<[Key, T]> {
    return this.#rows.entries();
  }

  watch(watcher: (change: Change<T>) => void): void {
    this.#watchers.push(watcher);
  }

  slot(key: Key): Slot {
    const known = this.#slots.get(key);
    if (known) return known;
    const slot = new Slot(() => this.#slots.delete(key));
    this.#slots.set(key, slot);
    return slot;
  }

  keySet(index?: string, value = ""): KeySet {
    return index === undefined ? this.#all : this.#sets(index).of(value);
  }

  /** Writes a row; `undefined` removes it. Returns whether anything changed. */
  protected put(key: Key, after: T | undefined): boolean {
    const before = this.#rows.get(key);
    if (before === after || (before !== undefined && after !== undefined && this.#same(before, after))) return false;
    if (after === undefined) this.#rows.delete(key);
    else this.#rows.set(key, after);
    this.#reindex({ key, before, after });
    this.#slots.get(key)?.touch();
    for (const watcher of this.#watchers) watcher({ key, before, after });
    return true;
  }

  #reindex({ key, before, after }: Change<T>): void {
    if (before === undefined) this.#all.add(key);
    if (after === undefined) this.#all.delete(key);
    for (const { of, sets } of this.#indexes.values()) {
      const values = (row: T | undefined) => (row === undefined ? NONE : new Set(of(row, key)));
      sets.move(key, values(before), values(after));
    }
  }

  #sets(name: string): KeySets {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`read index ${name} of ${this.name}: no such index`);
    return index.sets;
  }
}

const NONE: ReadonlySet<string> = new Set();
