/** When what failed is tried again: soon at first, then after ever longer. */
export class Backoff {
  readonly #now: () => number;
  readonly #least: number;
  readonly #most: number;
  #wait = 0;
  #due: number | undefined;

  /** @param now ms of a clock that only goes forward @param bounds ms between two tries */
  constructor(now: () => number, { least = 50, most = 30_000 } = {}) {
    this.#now = now;
    this.#least = least;
    this.#most = most;
  }

  /** ms until the next try; undefined: nothing failed. */
  get left(): number | undefined {
    return this.#due === undefined ? undefined : Math.max(0, this.#due - this.#now());
  }

  get isDue(): boolean {
    return this.left === 0;
  }

  /** A try has left something undone. `isNew`: something that had not failed before. */
  fail(isNew: boolean): void {
    this.#wait = isNew || this.#wait === 0 ? this.#least : Math.min(this.#most, 2 * this.#wait);
    this.#due = this.#now() + this.#wait;
  }

  /** Nothing is left to try. */
  clear(): void {
    this.#wait = 0;
    this.#due = undefined;
  }

  /** Something that stood in the way is gone. */
  hurry(): void {
    if (this.#due !== undefined) this.#due = this.#now();
  }
}
