/** Schedules retries with increasing delay. */
export class Backoff {
  readonly #now: () => number;
  readonly #least: number;
  readonly #most: number;
  #wait = 0;
  #due: number | undefined;
  /** When the next try would be, had it not been hurried. */
  #next: number | undefined;

  /** @param now monotonic clock, ms @param bounds delay between two tries, ms */
  constructor(now: () => number, { least = 50, most = 30_000 } = {}) {
    this.#now = now;
    this.#least = least;
    this.#most = most;
  }

  /** ms until the next try; undefined: nothing has failed. */
  get left(): number | undefined {
    return this.#due === undefined ? undefined : Math.max(0, this.#due - this.#now());
  }

  get isDue(): boolean {
    return this.left === 0;
  }

  /** Records that a try left failures. @param isNew one of them had not failed before */
  fail(isNew: boolean): void {
    const next = this.#next;
    this.#next = undefined;
    if (!isNew && next !== undefined && next > this.#now()) {
      this.#due = next; // an early retry does not lengthen the interval
      return;
    }
    this.#wait = isNew || this.#wait === 0 ? this.#least : Math.min(this.#most, 2 * this.#wait);
    this.#due = this.#now() + this.#wait;
  }

  /** Records that nothing has failed. */
  clear(): void {
    this.#wait = 0;
    this.#due = undefined;
    this.#next = undefined;
  }

  /** Makes a retry due now, since what caused the failure may be gone. */
  hurry(): void {
    if (this.#due === undefined) return;
    this.#next ??= this.#due;
    this.#due = this.#now();
  }
}
