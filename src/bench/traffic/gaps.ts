import { wallClock } from "../../kernel/index.ts";

/** A time in which a processor did not run a due process. */
export interface Gap {
  /** µs of CLOCK_REALTIME at its end. */
  end: number;
  ms: number;
}

/** Shortest recorded gap, ms. */
export const LEAST_GAP_MS = 20;
const EVERY_MS = 2;

/** Is due every second millisecond and records when it was not run. */
export class Gaps {
  async run(signal: AbortSignal): Promise<Gap[]> {
    const gaps: Gap[] = [];
    let last = wallClock();
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      const now = wallClock();
      const ms = (now - last) / 1000 - EVERY_MS;
      if (ms > LEAST_GAP_MS) gaps.push({ end: now, ms });
      last = now;
    }
    return gaps;
  }

  close(): void {}
}
