import type { Problem } from "../model/problem.ts";
import { Collection, type CollectionOptions, type Readable } from "./collection.ts";
import type { Selected } from "./selected.ts";
import type { Key, Reader, Slot } from "./slot.ts";

/** How a derivation reads other collections. The row that it derives depends on everything that it reads here. */
export interface View {
  row<T>(of: Readable<T>, key: Key): T | undefined;
  keys<T>(of: Readable<T>, index?: string, value?: string): readonly Key[];
  /** Whether any such key exists. The reader is only invalidated when that answer changes. */
  some<T>(of: Readable<T>, index?: string, value?: string): boolean;
  /** Keys of the rows that match a selector. */
  selected(of: AnySelected, selector: Key): readonly Key[];
  /** Whether a selector matches any row. */
  selectsSome(of: AnySelected, selector: Key): boolean;
  /** Keys of the selectors that match a row. */
  selectorsOf(of: AnySelected, row: Key): readonly Key[];
  /**
   * Whether a time (ms since the epoch) has passed. If it has not, the row is derived again at that time; if it has, the
   * row is derived again when the clock is set back to before it.
   */
  isPast(moment: number): boolean;
  /** Reports a problem of the objects that this row is derived from. It is kept until the row is derived again. */
  tell(problem: Problem): void;
}

type AnySelected = Pick<Selected<unknown, unknown>, "name" | "place" | "rowSet" | "selectorSet">;

/** Derives one row. Must be pure: the same reads give the same row and problems. `undefined` means no row. */
export type Derive<T> = (key: Key, view: View) => T | undefined;

/** The store's current time, and the readers that depend on it. Times are ms since the epoch. */
export interface Moments {
  /** Whether this time has passed. Invalidates the reader when that changes. */
  isPast(moment: number, reader: Reader): boolean;
  /** Cancels what `isPast` registered. */
  forget(reader: Reader): void;
}

export interface DerivedOptions<T> extends CollectionOptions<T> {
  over: readonly Readable<unknown>[];
  derive: Derive<T>;
  moments: Moments;
}

/**
 * Rows derived from other collections: one for each key of `over`. If a derivation throws, its row is absent and the
 * error is kept.
 */
export class Derived<T> extends Collection<T> {
  readonly #over: readonly Readable<unknown>[];
  readonly #derive: Derive<T>;
  readonly #moments: Moments;
  readonly #cells = new Map<Key, Cell>();
  readonly #stale = new Set<Key>();
  readonly #errors = new Map<Key, Error>();
  readonly #problems = new Map<Key, readonly Problem[]>();

  constructor(name: string, { over, derive, moments, ...options }: DerivedOptions<T>) {
    super(name, options);
    this.#over = over;
    this.#derive = derive;
    this.#moments = moments;
    for (const one of over) {
      one.watch(({ key, before, after }) => {
        if (before === undefined || after === undefined) this.#stale.add(key);
      });
      for (const key of one.keys()) this.#stale.add(key);
    }
  }

  /** Errors of derivations that threw, by key. */
  get errors(): ReadonlyMap<Key, Error> {
    return this.#errors;
  }

  /** Problems that derivations reported, by key. */
  get problems(): ReadonlyMap<Key, readonly Problem[]> {
    return this.#problems;
  }

  /**
   * Derives the stale rows again, which may make rows of later collections stale. Returns how many rows were derived.
   */
  settle(): number {
    const stale = [...this.#stale];
    this.#stale.clear();
    for (const key of stale) this.#settleOne(key);
    return stale.length;
  }

  #settleOne(key: Key): void {
    this.#cells.get(key)?.release();
    this.#errors.delete(key);
    this.#problems.delete(key);
    if (!this.#over.some((one) => one.has(key))) {
      this.#cells.delete(key);
      this.put(key, undefined);
      return;
    }
    const cell = new Cell(this, key, this.#moments, this.#stale);
    this.#cells.set(key, cell);
    try {
      this.put(key, this.#derive(key, cell));
      if (cell.problems.length > 0) this.#problems.set(key, cell.problems);
    } catch (error) {
      this.#errors.set(key, error as Error);
      this.put(key, undefined);
    }
  }
}

/** The dependencies of one derived row, and the problems that it reported. */
class Cell implements View, Reader {
  problems: Problem[] = NO_PROBLEMS;
  readonly #of: Readable<unknown>;
  readonly #key: Key;
  readonly #moments: Moments;
  readonly #stale: Set<Key>;
  /** Slots that were read. As a list, which is used for a few, it may hold a slot more than once. */
  #slots: Slot[] | Set<Slot> = [];
  #waits = false;

  /** @param stale the collection's set of keys to derive again */
  constructor(of: Readable<unknown>, key: Key, moments: Moments, stale: Set<Key>) {
    this.#of = of;
    this.#key = key;
    this.#moments = moments;
    this.#stale = stale;
  }

  stale(): void {
    this.#stale.add(this.#key);
  }

  row<T>(of: Readable<T>, key: Key): T | undefined {
    this.#note(of, of.slot(key));
    return of.get(key);
  }

  keys<T>(of: Readable<T>, index?: string, value?: string): readonly Key[] {
    const set = of.keySet(index, value);
    this.#note(of, set.slot);
    return set.sorted();
  }

  some<T>(of: Readable<T>, index?: string, value?: string): boolean {
    const set = of.keySet(index, value);
    this.#note(of, set.anySlot);
    return set.size > 0;
  }

  selected(of: AnySelected, selector: Key): readonly Key[] {
    const set = of.rowSet(selector);
    this.#note(of, set.slot);
    return set.sorted();
  }

  selectsSome(of: AnySelected, selector: Key): boolean {
    const set = of.rowSet(selector);
    this.#note(of, set.anySlot);
    return set.size > 0;
  }

  selectorsOf(of: AnySelected, row: Key): readonly Key[] {
    const set = of.selectorSet(row);
    this.#note(of, set.slot);
    return set.sorted();
  }

  isPast(moment: number): boolean {
    this.#waits = true;
    return this.#moments.isPast(moment, this);
  }

  tell(problem: Problem): void {
    if (this.problems === NO_PROBLEMS) this.problems = [];
    this.problems.push(problem);
  }

  release(): void {
    for (const slot of this.#slots) slot.drop(this);
    this.#slots = [];
    if (this.#waits) this.#moments.forget(this);
  }

  #note(read: { name: string; place: number }, slot: Slot): void {
    if (read.place >= this.#of.place) throw new Error(`derive ${this.#of.name}: ${read.name} is declared after it`);
    slot.add(this);
    if (this.#slots instanceof Set) this.#slots.add(slot);
    else if (this.#slots.push(slot) > FEW) this.#slots = new Set(this.#slots);
  }
}

const NO_PROBLEMS: Problem[] = [];
/** The most slots that are kept in a list; more are kept in a set. */
const FEW = 16;
