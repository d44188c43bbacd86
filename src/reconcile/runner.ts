/** Timers, as the runner needs them. Injected, so that tests need not wait. */
export interface Clock {
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
    }),
};

export interface RunnerOptions {
  /** Runs one pass. Returns the number of items that failed and must be retried, or throws. */
  pass(): Promise<number>;
  onError(error: unknown): void;
  clock?: Clock;
  signal: AbortSignal;
  /** Delay before a retry after a failure, ms: doubled from `min` to `max`. */
  backoff?: { min: number; max: number };
  /** A pass runs at least this often, ms, even if nothing is marked. */
  resync?: number;
}

/**
 * Runs passes, level-triggered: a mark only says that a pass is needed. Passes never overlap; any number of marks
 * during one pass cause one more. A failed pass is retried with back-off.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #clock: Clock;
  #dirty = false;
  #passes = 0;
  #wake: () => void = () => {};
  #waiters: { pass: number; success: boolean; resolve: () => void }[] = [];
  readonly finished: Promise<void>;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    options.signal.addEventListener("abort", () => this.#wake());
    this.finished = this.#loop();
  }

  /** Requests a pass. */
  mark(): void {
    this.#dirty = true;
    this.#wake();
  }

  /**
   * Requests a pass, and resolves when a pass that began after this call has ended: without failure, or, with `success`
   * false, in any case.
   */
  settled(success = true): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ pass: this.#passes + 1, success, resolve });
      this.mark();
    });
  }

  async #loop(): Promise<void> {
    const { signal, backoff = { min: 50, max: 5000 }, resync = 60_000 } = this.#options;
    let wait = 0;
    while (!signal.aborted) {
      if (!this.#dirty) await this.#idle(wait > 0 ? wait : resync);
      if (signal.aborted) break;
      const failed = await this.#pass();
      wait = failed ? Math.min(backoff.max, Math.max(backoff.min, wait * 2)) : 0;
    }
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  async #idle(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (!this.#options.signal.aborted && !this.#dirty) await this.#clock.sleep(ms, woken.signal);
    this.#wake = () => {};
  }

  /** Returns true if the pass failed. */
  async #pass(): Promise<boolean> {
    this.#dirty = false;
    const pass = ++this.#passes;
    let failed = true;
    try {
      failed = (await this.#options.pass()) > 0;
    } catch (error) {
      this.#options.onError(error);
    }
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.pass > pass || (failed && waiter.success)) return true;
      waiter.resolve();
      return false;
    });
    return failed;
  }
}
