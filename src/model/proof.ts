import { type Burst, burstVariance, meanRun } from "./bursts.ts";
import { lossProbability } from "./impair.ts";
import { binomialInterval, meanInterval } from "./statistics.ts";

/** Verdict on a rule: it holds, it does not, or too few packets were seen. */
export type Verdict = "proven" | "refuted" | "open";
export interface Judged {
  verdict: Verdict;
  /** Why, where it is not proven. */
  reason: string | null;
}
/** A verdict with the measured value and its 95 % interval. */
export interface Measured extends Judged {
  expected: number;
  measured: number | null;
  low: number | null;
  high: number | null;
}

/** Confidence of verdicts: one false alarm in ten thousand. One command judges a dozen effects. */
export const CONFIDENCE = 0.9999;
/** Normal distribution: 95 % and 99.99 % are within this many standard deviations. */
const DEVIATIONS = { shown: 1.959964, judged: 3.890592 };
/** Accepted relative error of a measured rate or time. */
export const TOLERANCE = 0.05;
/** Accepted absolute error of a time, seconds, for passing the devices. */
const SLACK = 0.001;
/** The number of expected events from which their absence, or presence, is significant. */
const ENOUGH = 10;
/** The number of bursts from which the distribution is nearly normal. */
const ENOUGH_BURSTS = 30;

const proven: Judged = { verdict: "proven", reason: null };
const refuted = (reason: string): Judged => ({ verdict: "refuted", reason });
const open = (reason: string): Judged => ({ verdict: "open", reason });

/**
 * Judges independent events, such as losses, by exact intervals (Clopper and Pearson): 95 % for display, 99.99 % for
 * the verdict. @param expected 0 to 1 @throws RangeError on invalid counts
 */
export function judgeShare(hits: number, trials: number, expected: number, name = "loss"): Measured {
  const [least, most] = binomialInterval(hits, trials, CONFIDENCE);
  const judged = (): Judged => {
    if (trials === 0) return open("no packet matched it");
    if (expected < least || expected > most) return refuted(`the expected ${name} is outside of the interval`);
    if (expected > 0 && trials * expected < ENOUGH) {
      return open(`too few packets: ${Math.ceil(ENOUGH / expected)} or more would tell`);
    }
    return proven;
  };
  const [low, high] = binomialInterval(hits, trials);
  return { expected, measured: trials > 0 ? hits / trials : null, low, high, ...judged() };
}

/** Judges the number of losses in bursts by the model's variance, since they are not independent. */
export function judgeBurstLoss(lost: number, packets: number, loss: Burst): Measured {
  const expected = lossProbability(loss);
  if (packets === 0) return { expected, measured: null, low: null, high: null, ...open("no packet matched it") };
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
 * Judges the mean length of runs of losses. If the good state loses nothing, each loss ends its run with the same
 * probability, so the number of runs is binomial.
 */
export function judgeBurstLength(bursts: number, lost: number, loss: Burst): Measured {
  const expected = meanRun(loss);
  if (lost === 0 || bursts === 0) {
    return { expected, measured: null, low: null, high: null, ...open("no packet was lost") };
  }
  // the first run may have begun before the window
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

/** Judges the mean delay in seconds of packets that are held for base ± jitter, uniformly distributed. */
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

/** Counters of a limit over the observation: packets, and bytes at layer 3. */
export interface Passed {
  sent: { packets: number; bytes: number };
  dropped: { packets: number; bytes: number };
}

/**
 * Judges rates of busy seconds against a limit, in bit/s. A rate below the limit alone proves nothing: the traffic may
 * have been less. If more was offered, it refutes the limit.
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

/** Judges that a user's program ran. Which packets it should drop is not known. */
export function judgeProgram(dropped: number, packets: number): Omit<Measured, "expected"> {
  if (packets === 0) return { measured: null, low: null, high: null, ...open("no packet matched it") };
  const [low, high] = binomialInterval(dropped, packets);
  return { measured: dropped / packets, low, high, ...proven };
}
