/** Identifies a row in its collection, e.g. `namespace/name`. */
export type Key = string;

/** A reader of slots. `stale` is called when what it has read changes. */
export interface Reader {
  stale(): void;
}

/**
 * One unit of dependency: a row, the keys with one index value, or whether any such key exists. Keeps its readers; most
 * slots have one, which needs no set.
 */
export class Slot {
  #readers: Reader | Set<Reader> | undefined;
  readonly #idle: (() => void) | undefined;

  /** @param idle called when the last reader has left */
  constructor(idle?: () => void) {
    this.#idle = idle;
  }

  get isRead(): boolean {
    return this.#readers !== undefined;
  }

  add(reader: Reader): void {
    const known = this.#readers;
    if (known === undefined) this.#readers = reader;
    else if (known instanceof Set) known.add(reader);
    else if (known !== reader) this.#readers = new Set([known, reader]);
  }

  drop(reader: Reader): void {
    const known = this.#readers;
    if (known instanceof Set) {
      known.delete(reader);
      if (known.size > 0) return;
    } else if (known !== reader) return;
    this.#readers = undefined;
    this.#idle?.();
  }

  touch(): void {
    const known = this.#readers;
    if (known instanceof Set) for (const reader of known) reader.stale();
    else known?.stale();
  }
}

/**
 * A set of keys that readers can depend on. Keys are read in sorted order, so that no result depends on the order of
 * changes.
 */
export class KeySet {
  readonly #keys = new Set<Key>();
  readonly #idle: (() => void) | undefined;
  #sorted: readonly Key[] | undefined = NO_KEYS;
  #slot: Slot | undefined;
  #anySlot: Slot | undefined;

  /** @param idle called when the set is empty and has no readers */
  constructor(idle?: () => void) {
    this.#idle = idle;
  }

  /** The slot for readers of the keys. */
  get slot(): Slot {
    this.#slot ??= new Slot(() => this.#rest());
    return this.#slot;
  }

  /** The slot for readers that only need to know whether the set is empty. */
  get anySlot(): Slot {
    this.#anySlot ??= new Slot(() => this.#rest());
    return this.#anySlot;
  }

  get isIdle(): boolean {
    return this.#keys.size === 0 && !this.#slot?.isRead && !this.#anySlot?.isRead;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: Key): boolean {
    return this.#keys.has(key);
  }

  /** Keys in no particular order. */
  values(): IterableIterator<Key> {
    return this.#keys.values();
  }

  sorted(): readonly Key[] {
    this.#sorted ??= [...this.#keys].sort();
    return this.#sorted;
  }

  add(key: Key): void {
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.#sorted = undefined;
    this.#slot?.touch();
    if (this.#keys.size === 1) this.#anySlot?.touch();
  }

  delete(key: Key): void {
    if (!this.#keys.delete(key)) return;
    this.#sorted = undefined;
    this.#slot?.touch();
    if (this.#keys.size === 0) this.#anySlot?.touch();
  }

  #rest(): void {
    if (this.isIdle) this.#idle?.();
  }
}

const NO_KEYS: readonly Key[] = [];

/** Key sets by index value. A set is created when it is needed, and removed when it is empty and has no readers. */
export class KeySets {
  readonly #sets = new Map<string, KeySet>();

  get(value: string): KeySet | undefined {
    return this.#sets.get(value);
  }

  /** The set of a value. It is created if missing, so that a reader can wait for keys. */
  of(value: string): KeySet {
    const known = this.#sets.get(value);
    if (known) return known;
    const set = new KeySet(() => this.#sets.delete(value));
    this.#sets.set(value, set);
    return set;
  }

  add(value: string, key: Key): void {
    this.of(value).add(key);
  }

  delete(value: string, key: Key): void {
    const set = this.#sets.get(value);
    set?.delete(key);
    if (set?.isIdle) this.#sets.delete(value);
  }

  /** Moves a key from the sets of its old index values to those of its new ones. */
  move(key: Key, before: ReadonlySet<string>, after: ReadonlySet<string>): void {
    for (const value of before) if (!after.has(value)) this.delete(value, key);
    for (const value of after) if (!before.has(value)) this.add(value, key);
  }
}
