import type { Shape } from "../model/shape.ts";
import { type Classes, minorsOf, sumOf } from "./shaper-classes.ts";

/**
 * When a rate is lowered, queued packets may leave at the old rate first: if they would take longer than `wait` at the
 * new one, for at most `time`, checked every `look`; seconds.
 */
const CUT = { wait: 0.1, look: 0.01, time: 0.03 } as const;

/** A limit whose rate is to be lowered, with its new shaper. */
export interface Cut {
  instance: string;
  id: number;
  target: Shape;
}

/**
 * Waits until little is queued for these limits, or until the queues stop shrinking. Blocks this thread.
 * @param held the limits' classes, by shaper id
 * @param read reads queued bytes by minor number of the class
 * @returns what was read last
 */
export function waitForQueues(
  cuts: readonly Cut[],
  held: ReadonlyMap<number, Classes> | undefined,
  read: () => ReadonlyMap<number, number>,
): ReadonlyMap<number, number> {
  const queued = (id: number, backlog: ReadonlyMap<number, number>): number => {
    const own = held?.get(id);
    return own ? sumOf(minorsOf(id, own).slice(1), backlog) : 0;
  };
  const end = performance.now() + CUT.wait * 1000;
  let before: ReadonlyMap<number, number> | undefined;
  for (;;) {
    const backlog = read();
    const waits = ({ id, target }: Cut): boolean => {
      const bytes = queued(id, backlog);
      return 8 * bytes > CUT.time * target.parent.rate && (!before || bytes < queued(id, before));
    };
    if (performance.now() >= end || !cuts.some(waits)) return backlog;
    before = backlog;
    pause(CUT.look);
  }
}

/** Blocks this thread, seconds. */
const pause = (seconds: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
