import type { Problem } from "../model/objects.ts";
import { Collection, type CollectionOptions, type Readable } from "./collection.ts";
import type { Selected } from "./selected.ts";
import type { Key, Reader, Slot } from "./slot.ts";

/** How a row is derived reads others: what it has read is what it depends on. */
export interface View {
  row<T>(of: Readable<T>, key: Key): T | undefined;
  keys<T>(of: Readable<T>, index?: string, value?: string): readonly Key[];
  /** Are there such keys? Costs nothing while there are some. */
  some<T>(of: Readable<T>, index?: string, value?: string): boolean;
  /** Keys of the rows that a selector selects. */
  selected(of: AnySelected, selector: Key): readonly Key[];
  /** Does it select any row? */
  selectsSome(of: AnySelected, selector: Key): boolean;
  /** Keys of the selectors that select a row. */
  selectorsOf(of: AnySelected, row: Key): readonly Key[];
  /** Is this moment over? If not, the row is derived again when it is. ms since the epoch */
  isPast(moment: number): boolean;
  /** Says what is wrong with what the row is derived of. */
  tell(problem: Problem): void;
}

type AnySelected = Pick<Selected<unknown, unknown>, "name" | "place" | "rowSet" | "selectorSet">;

/** Pure: the same reads give the same row and problems. Undefined: there is none. */
export type Derive<T> = (key: Key, view: View) => T | undefined;

/** The store's time, and when it must be asked again. */
export interface Moments {
  now: number;
  /** Derives again at that time. */
  wake(at: number, reader: Reader): void;
  /** Takes back what it asked for. */
  forget(reader: Reader): void;
}

export interface DerivedOptions<T> extends CollectionOptions<T> {
  over: readonly Readable<unknown>[];
  derive: Derive<T>;
  moments: Moments;
}

/** Rows derived of others, one for each key of `over`. A row whose derivation throws is absent, and its error kept. */
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

  /** Derivations that threw, by key. */
  get errors(): ReadonlyMap<Key, Error> {
    return this.#errors;
  }

  /** What derivations told, by key. */
  get problems(): ReadonlyMap<Key, readonly Problem[]> {
    return this.#problems;
  }

  /** Derives what is stale again. What is derived of it is stale then. Returns how many rows were derived. */
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

/** What one derivation has read, and what it told. */
class Cell implements View, Reader {
  problems: Problem[] = NO_PROBLEMS;
  readonly #of: Readable<unknown>;
  readonly #key: Key;
  readonly #moments: Moments;
  readonly #stale: Set<Key>;
  /** Of a few slots each may be noted more than once. */
  #slots: Slot[] | Set<Slot> = [];
  #waits = false;

  /** `stale`: keys that are to be derived again. */
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
    if (moment <= this.#moments.now) return true;
    this.#moments.wake(moment, this);
    this.#waits = true;
    return false;
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
/** So many slots are kept in a list. */
const FEW = 16;
