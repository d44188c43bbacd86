/**
 * Upper bounds of the wait-time histogram's buckets, ms; the last bucket is open. The same as in
 * src/functions/limit/measure.h.
 */
export const WAIT_ENDS = [1, 2, 5, 10, 20, 50, 100, 200, 500] as const;

/** Packet counts by bucket. */
export type Waits = readonly number[];

/** Packets that waited 1 ms or longer. */
export const delayedOf = (waits: Waits): number => sum(waits.slice(1));

/**
 * Upper bound of the bucket that holds the given quantile, s.
 * @param part 0 to 1
 * @returns null without packets, and if it is the open bucket
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

/** The histogram in cumulative form: packets that waited less than each bound (s), and finally all packets. */
export function cumulated(waits: Waits): { within: number; packets: number }[] {
  return waits.map((_, index) => ({
    within: (WAIT_ENDS[index] ?? Number.POSITIVE_INFINITY) / 1000,
    packets: sum(waits.slice(0, index + 1)),
  }));
}

const sum = (counts: Waits): number => counts.reduce((all, one) => all + one, 0);
