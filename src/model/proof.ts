import { type Burst, burstVariance, meanRun } from "./bursts.ts";
import { lossProbability } from "./impair.ts";
import { binomialInterval, meanInterval } from "./statistics.ts";

/** What a measurement says of a rule: it holds, it does not, or not enough has passed to tell. */
export type Verdict = "proven" | "refuted" | "open";
export interface Judged {
  verdict: Verdict;
  /** Why, where it is not proven. */
  reason: string | null;
}
/** With what was measured, and its interval of 95 %. */
export interface Measured extends Judged {
  expected: number;
  measured: number | null;
  low: number | null;
  high: number | null;
}

/** How sure a verdict is: one in ten thousand is a false alarm. One command judges a dozen effects, and should be right on the whole. */
export const CONFIDENCE = 0.9999;
/** Of the normal distribution: 95 % and 99.99 % lie within so many deviations. */
const DEVIATIONS = { shown: 1.959964, judged: 3.890592 };
/** A measured rate or time may differ from what was asked for by this part. */
export const TOLERANCE = 0.05;
/** A time may by so much in any case, seconds: what passing the devices takes. */
const SLACK = 0.001;
/** So many events are to be expected before their absence, or presence, says something. */
const ENOUGH = 10;
/** Bursts before their number is nearly normal. */
const ENOUGH_BURSTS = 30;

const proven: Judged = { verdict: "proven", reason: null };
const refuted = (reason: string): Judged => ({ verdict: "refuted", reason });
const open = (reason: string): Judged => ({ verdict: "open", reason });

/**
 * Judges independent events, such as losses, by their exact interval (Clopper and Pearson; shown is that of 95 %, judged by
 * that of 99.99 %). `expected`: 0 to 1. @throws RangeError on what are no counts
 */
export function judgeShare(hits: number, trials: number, expected: number, name = "loss"): Measured {
  const [least, most] = binomialInterval(hits, trials, CONFIDENCE);
  const judged = (): Judged => {
    if (trials === 0) return open("no packet was for it");
    if (expected < least || expected > most) return refuted(`the expected ${name} is outside of the interval`);
    if (expected > 0 && trials * expected < ENOUGH) {
      return open(`too few packets: ${Math.ceil(ENOUGH / expected)} or more would tell`);
    }
    return proven;
  };
  const [low, high] = binomialInterval(hits, trials);
  return { expected, measured: trials > 0 ? hits / trials : null, low, high, ...judged() };
}

/** Judges how many were lost in bursts, by the variance that the model has: losses are not independent. */
export function judgeBurstLoss(lost: number, packets: number, loss: Burst): Measured {
  const expected = lossProbability(loss);
  if (packets === 0) return { expected, measured: null, low: null, high: null, ...open("no packet was for it") };
  const measured = lost / packets;
  const deviation = Math.sqrt(burstVariance(loss, packets)) / packets;
  const judged = (): Judged => {
    const least = Math.ceil((ENOUGH_BURSTS * meanRun(loss)) / expected);
    if (expected > 0 && packets < least) return open(`too few packets: ${least} or more would tell`);
    const isNear = Math.abs(measured - expected) <= DEVIATIONS.judged * deviation;
    return isNear ? proven : refuted("the expected loss is outside of the interval");
  };
  return { expected, measured, ...around(measured, DEVIATIONS.shown * deviation), ...judged() };
}

/**
 * Judges the mean number of packets lost in a row. Where the good state loses none, each loss ends its row with the same
 * probability, so their number is binomial.
 */
export function judgeBurstLength(bursts: number, lost: number, loss: Burst): Measured {
  const expected = meanRun(loss);
  if (lost === 0 || bursts === 0) {
    return { expected, measured: null, low: null, high: null, ...open("no packet was lost") };
  }
  // the first one may have begun before the window
  const rows = Math.min(bursts, lost);
  const [low, high] = binomialInterval(rows, lost).map((end) => 1 / end) as [number, number];
  const [least, most] = binomialInterval(rows, lost, CONFIDENCE);
  const judged = (): Judged => {
    if (loss.lossGood > 0) return open("lengths are counted, not judged, where the good state loses packets too");
    if (bursts < ENOUGH) return open(`too few bursts: ${ENOUGH} or more would tell`);
    const isInside = 1 / expected >= least && 1 / expected <= most;
    return isInside ? proven : refuted("the expected length is outside of the interval");
  };
  return { expected, measured: lost / rows, low: high, high: low, ...judged() };
}

/** Judges a mean delay, in seconds, of packets that each wait for base ± jitter, evenly spread. */
export function judgeDelay(mean: number | null, packets: number, delay: { base: number; jitter: number }): Measured {
  const expected = delay.base;
  if (mean === null || packets === 0) {
    return { expected, measured: null, low: null, high: null, ...open("no packet was delayed") };
  }
  const deviation = delay.jitter / Math.sqrt(3 * packets);
  const allowed = Math.max(SLACK, TOLERANCE * expected);
  const judged = (): Judged => {
    if (packets < ENOUGH || DEVIATIONS.judged * deviation > allowed)
      return open("too few packets were delayed to tell");
    const isNear = Math.abs(mean - expected) <= allowed + DEVIATIONS.judged * deviation;
    return isNear ? proven : refuted("packets wait for another time");
  };
  return { expected, measured: mean, ...around(mean, DEVIATIONS.shown * deviation), ...judged() };
}

function around(value: number, half: number): { low: number; high: number } {
  return { low: Math.max(0, value - half), high: value + half };
}

/** What a limit counted while it was watched: packets, and bytes at layer 3. */
export interface Passed {
  sent: { packets: number; bytes: number };
  dropped: { packets: number; bytes: number };
}

/**
 * Judges rates of busy seconds against a limit, all in bit/s. A rate below the limit proves nothing by itself: nobody may
 * have wanted more. If more was offered it refutes the limit, which lets less pass than it allows.
 */
export function judgeRate(rates: readonly number[], limit: number, passed?: Passed): Measured {
  const refusals = passed && passed.dropped.packets > 0 ? passed : undefined;
  if (rates.length === 0) {
    const nothing = { expected: limit, measured: null, low: null, high: null };
    if (refusals?.sent.packets === 0) return { ...nothing, ...refuted("it dropped all that came") };
    return { ...nothing, ...open("no traffic filled a second of it") };
  }
  const { mean, low, high } = meanInterval(rates);
  const judged = (): Judged => {
    if (mean > limit * (1 + TOLERANCE)) return refuted("more passed than the limit allows");
    if (mean >= limit * (1 - TOLERANCE)) return proven;
    if (!refusals) return open("the traffic stayed below the limit");
    const { sent, dropped } = refusals;
    const offered = (mean * (sent.bytes + dropped.bytes)) / sent.bytes;
    if (offered >= limit) return refuted("less passed than the limit allows, though more was offered");
    return open("the traffic stayed below the limit; what was dropped was over it for a moment");
  };
  return { expected: limit, measured: mean, low, high, ...judged() };
}

/** What a user's program did: that it ran. Which packets it should drop only its author knows. */
export function judgeProgram(dropped: number, packets: number): Omit<Measured, "expected"> {
  if (packets === 0) return { measured: null, low: null, high: null, ...open("no packet was for it") };
  const [low, high] = binomialInterval(dropped, packets);
  return { measured: dropped / packets, low, high, ...proven };
}
