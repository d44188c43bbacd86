import type { Items } from "../api/schemas.ts";

/** Shortest window of a limit's rates, ms. */
const WINDOW = 1000;
/** Highest difference between two readings of one window, ms: the duration of a query. */
const JITTER = 400;

/** Busy seconds of limits, each counted once. Times in ms since the beginning of the watch. */
export class Windows {
  readonly #seen = new Map<string, { ended: number; rates: number[] }>();

  /** Adds a receipt that was read at `time`. Ignores a window that began before the watch. */
  add(limit: Items["limits"], time: number): void {
    if (limit.measured === null || limit.measuredAge === null) return;
    const ended = time - 1000 * limit.measuredAge;
    if (ended < WINDOW) return;
    const known = this.#seen.get(keyOf(limit));
    if (known && ended - known.ended < JITTER) return;
    this.#seen.set(keyOf(limit), { ended, rates: [...(known?.rates ?? []), limit.measured] });
  }

  /** bit/s, one for each. */
  rates(limit: Items["limits"]): readonly number[] {
    return this.#seen.get(keyOf(limit))?.rates ?? [];
  }
}

const keyOf = ({ direction, source, written }: Items["limits"]): string => JSON.stringify([direction, source, written]);
