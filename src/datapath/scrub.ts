/** Items that are compared with the kernel so many at once. */
export interface Sliced {
  readonly size: number;
  /** Compares the next `count`; false after the last. */
  scrub(count: number): boolean;
}

/** ms in which everything is compared: less than a minute. */
const ROUND = 55_000;
/** Slices of a kind, at most, beside those for its items. */
const FIXED = 4;
/** The longest time between two slices, ms. */
const LONGEST = 2000;

/** Compares what is in force with the kernel, slice by slice, over and over. */
export class Scrub {
  readonly #whole: readonly (() => void)[];
  readonly #sliced: readonly (readonly [items: Sliced, count: number])[];
  /** Slices left of this round. */
  #left: (() => void)[] = [];

  /** @param whole slices that are the same each round @param sliced items, and how many one slice compares */
  constructor(whole: readonly (() => void)[], sliced: readonly (readonly [Sliced, number])[]) {
    this.#whole = whole;
    this.#sliced = sliced;
  }

  /** Whether the next slice begins a new round. */
  get isDone(): boolean {
    return this.#left.length === 0;
  }

  /** ms between two slices with which a round takes less than a minute. */
  get every(): number {
    const counts = this.#sliced.map(([{ size }, count]) => FIXED + Math.ceil(size / count));
    const slices = counts.reduce((sum, count) => sum + count, this.#whole.length);
    return Math.min(LONGEST, ROUND / slices);
  }

  /** Compares the next slice. */
  next(): void {
    if (this.isDone)
      this.#left = [...this.#whole, ...this.#sliced.map(([items, count]) => this.#sliceOf(items, count))];
    this.#left.shift()?.();
  }

  #sliceOf(items: Sliced, count: number): () => void {
    const slice = (): void => {
      if (items.scrub(count)) this.#left.push(slice);
    };
    return slice;
  }
}
