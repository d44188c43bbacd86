import type { Items } from "../api/schemas.ts";

/** A limit's rates are over so long at least, ms. */
const WINDOW = 1000;
/** Two readings of one window differ by less, ms: what asking takes. */
const JITTER = 400;

/** Busy seconds of limits, each read once. Times in ms since the watch began. */
export class Windows {
  readonly #seen = new Map<string, { ended: number; rates: number[] }>();

  /** Takes a receipt that was read at `time`. What ended before the watch began, or began before it, is none of it. */
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
