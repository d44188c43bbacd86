/** Names a row within its collection, e.g. `namespace/name`. */
export type Key = string;

/** Who reads a slot: told when what it holds changes. */
export interface Reader {
  stale(): void;
}

/** One thing that can be read: a row, the keys of an index's value, or whether there are any. Most have one reader. */
export class Slot {
  #readers: Reader | Set<Reader> | undefined;
  readonly #idle: (() => void) | undefined;

  /** `idle`: told when the last reader has gone. */
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

/** A set of keys that can be read, sorted, so that nothing depends on the order of changes. */
export class KeySet {
  readonly #keys = new Set<Key>();
  readonly #idle: (() => void) | undefined;
  #sorted: readonly Key[] | undefined = NO_KEYS;
  #slot: Slot | undefined;
  #anySlot: Slot | undefined;

  /** `idle`: told when the set is empty and nobody reads it any more. */
  constructor(idle?: () => void) {
    this.#idle = idle;
  }

  /** What a reader of the keys depends on. */
  get slot(): Slot {
    this.#slot ??= new Slot(() => this.#rest());
    return this.#slot;
  }

  /** What a reader of their being any depends on. */
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

  /** In no order. */
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

/** Sets of keys by a value, made when one is needed and gone when it is empty and unread. */
export class KeySets {
  readonly #sets = new Map<string, KeySet>();

  get(value: string): KeySet | undefined {
    return this.#sets.get(value);
  }

  /** For readers: one that is empty waits for keys. */
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

  /** Takes a key out of the sets that it was in, and puts it into those that it is in now. */
  move(key: Key, before: ReadonlySet<string>, after: ReadonlySet<string>): void {
    for (const value of before) if (!after.has(value)) this.delete(value, key);
    for (const value of after) if (!before.has(value)) this.add(value, key);
  }
}
