import { binomialInterval } from "./statistics.ts";

/** What a measurement says of a rule: it holds, it does not, or not enough has passed to tell. */
export type Verdict = "proven" | "refuted" | "open";
export interface Judged {
  verdict: Verdict;
  /** Why, where it is not proven. */
  reason: string | null;
}

/** How sure an interval of a proof is: one in a thousand is a false alarm. */
export const CONFIDENCE = 0.999;
/** A measured rate may differ from its limit by this part. */
export const TOLERANCE = 0.05;
/** So many losses are to be expected before their absence, or presence, says something. */
const ENOUGH = 10;

const proven: Judged = { verdict: "proven", reason: null };
const refuted = (reason: string): Judged => ({ verdict: "refuted", reason });
const open = (reason: string): Judged => ({ verdict: "open", reason });

/**
 * Judges independent losses by their exact interval (Clopper and Pearson, 99.9 %). `expected`: 0 to 1.
 * @throws RangeError on what are no counts
 */
export function judgeLoss(lost: number, packets: number, expected: number): Judged & { low: number; high: number } {
  const [low, high] = binomialInterval(lost, packets, CONFIDENCE);
  const judged = (): Judged => {
    if (packets === 0) return open("no packet was for it");
    if (expected < low || expected > high) return refuted("the expected loss is outside of the interval");
    if (expected > 0 && packets * expected < ENOUGH) {
      return open(`too few packets: ${Math.ceil(ENOUGH / expected)} or more would tell`);
    }
    return proven;
  };
  return { ...judged(), low, high };
}

/** Judges the rate of a busy time, both in bit/s. A rate below the limit proves nothing: nobody may have wanted more. */
export function judgeRate(measured: number | null, limit: number): Judged {
  if (measured === null) return open("no traffic filled it");
  if (measured > limit * (1 + TOLERANCE)) return refuted("more passed than the limit allows");
  if (measured < limit * (1 - TOLERANCE)) return open("the traffic stayed below the limit");
  return proven;
}
