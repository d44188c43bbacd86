import type { Problem } from "../model/problem.ts";
import { Collection, type CollectionOptions, type Readable } from "./collection.ts";
import { type Derive, Derived, type Moments } from "./derived.ts";
import { Selected, type SelectedOptions } from "./selected.ts";
import type { Key, Reader } from "./slot.ts";

/** A collection that is written from outside of the store, by one source. */
export class Source<T> extends Collection<T> {
  set(key: Key, row: T): boolean {
    return this.put(key, row);
  }

  delete(key: Key): boolean {
    return this.put(key, undefined);
  }

  /** Replaces all rows: rows that are not in `rows` are removed. */
  replace(rows: ReadonlyMap<Key, T>): void {
    for (const key of this.keys()) if (!rows.has(key)) this.put(key, undefined);
    for (const [key, row] of rows) this.put(key, row);
  }
}

/** A collection that is brought up to date by `settle`, after all those declared before it. */
export interface Step {
  readonly name: string;
  settle(): number;
}

/**
 * Source collections and collections derived from them. A derived collection may only read collections declared before
 * it. A change marks rows as stale; `settle` derives only those again.
 */
export class Store {
  readonly #steps: Step[] = [];
  readonly #derived: Derived<unknown>[] = [];
  readonly #names = new Set<string>();
  /** The next time at which each reader is stale. */
  readonly #wakes = new Map<Reader, number>();
  /** The last time that has passed for each reader. */
  readonly #passed = new Map<Reader, number>();
  readonly #moments: Moments;
  #now: number;

  /** @param now ms since the epoch */
  constructor(now = 0) {
    this.#now = now;
    this.#moments = {
      isPast: (moment, reader) => this.#isPast(moment, reader),
      forget: (reader) => {
        this.#wakes.delete(reader);
        this.#passed.delete(reader);
      },
    };
  }

  source<T>(name: string, options: CollectionOptions<T> = {}): Source<T> {
    return new Source<T>(name, { ...options, place: this.#place(name) });
  }

  /** Declares a derived collection with a row for each key in any of `over`. */
  derive<T>(
    name: string,
    over: readonly Readable<unknown>[],
    derive: Derive<T>,
    options: CollectionOptions<T> = {},
  ): Derived<T> {
    const place = this.#place(name);
    const derived = new Derived<T>(name, { ...options, place, over, derive, moments: this.#moments });
    this.#steps.push(derived);
    this.#derived.push(derived as Derived<unknown>);
    return derived;
  }

  select<S, R>(name: string, options: SelectedOptions<S, R>): Selected<S, R> {
    const selected = new Selected<S, R>(name, this.#place(name), options);
    this.#steps.push(selected);
    return selected;
  }

  /** Declares a collection of the caller's own class, which is settled in the order of declaration. */
  step<T extends Step>(name: string, make: (place: number) => T): T {
    const step = make(this.#place(name));
    this.#steps.push(step);
    return step;
  }

  /** The time at which `settle` must be called again, ms since the epoch; undefined: no row waits for a time. */
  get wakeAt(): number | undefined {
    let next: number | undefined;
    for (const at of this.#wakes.values()) if (next === undefined || at < next) next = at;
    return next;
  }

  /**
   * Derives the rows that are stale at time `now`, collection by collection in the order of declaration. The time may
   * be earlier than before: clocks are set back. Returns how many rows were derived.
   */
  settle(now: number): number {
    const isBack = now < this.#now;
    this.#now = now;
    for (const [reader, at] of this.#wakes) if (at <= now) reader.stale();
    if (isBack) for (const [reader, at] of this.#passed) if (at > now) reader.stale();
    return this.#steps.reduce((sum, step) => sum + step.settle(), 0);
  }

  /**
   * Problems that derivations reported, ordered by collection and key, and a problem for each derivation that threw.
   */
  *problems(): Generator<Problem> {
    for (const { name, problems, errors } of this.#derived) {
      for (const key of [...problems.keys()].sort()) yield* problems.get(key) ?? [];
      for (const [key, { message }] of errors)
        yield { object: `${name} ${key}`, message: `cannot be derived: ${message}` };
    }
  }

  #isPast(moment: number, reader: Reader): boolean {
    const isPast = moment <= this.#now;
    if (isPast) this.#passed.set(reader, Math.max(moment, this.#passed.get(reader) ?? moment));
    else this.#wakes.set(reader, Math.min(moment, this.#wakes.get(reader) ?? moment));
    return isPast;
  }

  #place(name: string): number {
    if (this.#names.has(name)) throw new Error(`declare collection ${name}: the name is in use`);
    this.#names.add(name);
    return this.#names.size;
  }
}
