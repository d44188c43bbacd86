/** Time as the runner needs it; injected so that tests do not wait. */
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
  /** One full pass. Throws, or returns the number of rows that failed and want another try. */
  pass(): Promise<number>;
  onError(error: unknown): void;
  clock?: Clock;
  signal: AbortSignal;
  /** Back-off after a failure, ms: doubled from `min` to `max`. */
  backoff?: { min: number; max: number };
  /** A pass even without a mark, ms: heals what others broke. */
  resync?: number;
}

/**
 * Level-triggered: marks say only that something changed; a pass looks at everything. Marks made during a pass
 * cause one more; passes never overlap. A failed pass is retried with back-off.
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

  /** Something changed: a pass follows. */
  mark(): void {
    this.#dirty = true;
    this.#wake();
  }

  /**
   * Marks, and resolves when a pass that began after this call has ended: without failure, or, with `success`
   * false, in any way.
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

  /** True when something failed. */
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
