/** Upper ends of the classes of times that packets wait in a limit, ms; the last class is open. src/functions/limit/measure.h has the same. */
export const WAIT_ENDS = [1, 2, 5, 10, 20, 50, 100, 200, 500] as const;

/** Packets by the class of their wait. */
export type Waits = readonly number[];

/** Packets that waited for 1 ms or longer. */
export const delayedOf = (waits: Waits): number => sum(waits.slice(1));

/**
 * Upper end of the class in which the given part of the packets ends, s.
 * @param part 0 to 1
 * @returns null without packets, and if that class is the open one
 */
export function waitAt(waits: Waits, part: number): number | null {
  const all = sum(waits);
  if (all === 0) return null;
  let below = 0;
  const found = waits.findIndex((count) => {
    below += count;
    return below >= part * all;
  });
  const end = WAIT_ENDS[found];
  return end === undefined ? null : end / 1000;
}

/** Packets that waited for less than each upper end, and at last all of them. Ends in s. */
export function cumulated(waits: Waits): { within: number; packets: number }[] {
  return waits.map((_, index) => ({
    within: (WAIT_ENDS[index] ?? Number.POSITIVE_INFINITY) / 1000,
    packets: sum(waits.slice(0, index + 1)),
  }));
}

const sum = (counts: Waits): number => counts.reduce((all, one) => all + one, 0);
