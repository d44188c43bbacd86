/** Exact statistics of counts: how well `hits` of `trials` fit a probability. */

/** ln Γ(x) for x ≥ 1: Stirling's series, after shifting x to where it is exact to the last digit. */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 15; at++) shift += Math.log(at);
  const inverse = 1 / (at * at);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / at;
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** ln of the probability of exactly `hits`. */
function logMass(hits: number, trials: number, p: number): number {
  if (p <= 0) return hits === 0 ? 0 : Number.NEGATIVE_INFINITY;
  if (p >= 1) return hits === trials ? 0 : Number.NEGATIVE_INFINITY;
  const ways = logGamma(trials + 1) - logGamma(hits + 1) - logGamma(trials - hits + 1);
  return ways + hits * Math.log(p) + (trials - hits) * Math.log1p(-p);
}

/** Terms below this do not change a sum's digits. */
const NEGLIGIBLE = 1e-18;

/** Sum of the masses from `from`, in steps of ±1, each computed from the previous one. `from` is beyond the mode. */
function tail(from: number, trials: number, p: number, step: 1 | -1): number {
  if (from < 0 || from > trials) return 0;
  const first = Math.exp(logMass(from, trials, p));
  const odds = p / (1 - p);
  let sum = 0;
  let mass = first;
  for (let hits = from; hits >= 0 && hits <= trials && mass > 0; hits += step) {
    sum += mass;
    if (mass < sum * NEGLIGIBLE) break;
    mass *= step === 1 ? ((trials - hits) / (hits + 1)) * odds : hits / (trials - hits + 1) / odds;
  }
  return sum;
}

function checkCounts(hits: number, trials: number): void {
  const whole = Number.isSafeInteger(hits) && Number.isSafeInteger(trials);
  if (!whole || hits < 0 || trials < hits) throw new RangeError(`test ${hits} of ${trials}: no counts`);
}

/**
 * Exact two-sided binomial test: the probability, at `p`, of a count that is at most as likely as `hits`; 0 to 1. By
 * the method of small p-values, like R's `binom.test`. @throws RangeError on invalid counts
 */
export function binomialTest(hits: number, trials: number, p: number): number {
  checkCounts(hits, trials);
  if (p <= 0 || p >= 1) return Math.exp(logMass(hits, trials, p));
  // like R: values that only differ by rounding are equally likely
  const bound = logMass(hits, trials, p) + 1e-7;
  const mode = Math.floor((trials + 1) * p);
  if (hits === mode) return 1;
  const isRare = (count: number): boolean => logMass(count, trials, p) <= bound;
  if (hits < mode) {
    const other = firstWhere(mode, trials + 1, isRare);
    return Math.min(1, tail(hits, trials, p, -1) + tail(other, trials, p, 1));
  }
  const other = mode - firstWhere(0, mode + 1, (below) => isRare(mode - below));
  return Math.min(1, tail(hits, trials, p, 1) + tail(other, trials, p, -1));
}

/** The first value in `from` … `to` − 1 from which `holds` is true; `to` if there is none. */
function firstWhere(from: number, to: number, holds: (value: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Clopper–Pearson interval: the probabilities at which neither tail of `hits` is below (1 − confidence)/2.
 * @throws RangeError on invalid counts
 */
export function binomialInterval(hits: number, trials: number, confidence = 0.95): [low: number, high: number] {
  checkCounts(hits, trials);
  if (trials === 0) return [0, 1];
  const alpha = (1 - confidence) / 2;
  const rate = hits / trials;
  // Below the rate P(X ≥ hits) grows with p, above it P(X ≤ hits) falls.
  const low = hits === 0 ? 0 : bisect(0, rate, (p) => tail(hits, trials, p, 1) < alpha);
  const high = hits === trials ? 1 : bisect(rate, 1, (p) => tail(hits, trials, p, -1) > alpha);
  return [low, high];
}

/** The point up to which `holds` is true. */
function bisect(from: number, to: number, holds: (p: number) => boolean): number {
  let [low, high] = [from, to];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * Pearson's chi-squared test of counts against probabilities that sum to one: the probability of a worse fit.
 * Neighbouring groups are merged until five of each are expected; with fewer than two groups the result is 1.
 */
export function chiSquaredTest(counts: readonly number[], probabilities: readonly number[]): number {
  const total = counts.reduce((sum, one) => sum + one, 0);
  const groups: { seen: number; expected: number }[] = [];
  let group = { seen: 0, expected: 0 };
  for (const [i, probability] of probabilities.entries()) {
    group = { seen: group.seen + (counts[i] ?? 0), expected: group.expected + probability * total };
    if (group.expected < 5) continue;
    groups.push(group);
    group = { seen: 0, expected: 0 };
  }
  const last = groups.at(-1);
  if (last === undefined || groups.length < 2) return 1;
  last.seen += group.seen;
  last.expected += group.expected;
  const statistic = groups.reduce((sum, { seen, expected }) => sum + (seen - expected) ** 2 / expected, 0);
  return upperGamma((groups.length - 1) / 2, statistic / 2);
}

/** Regularised upper incomplete gamma function Q(a, x): the series of P below the mean, the continued fraction above. */
function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; term > sum * NEGLIGIBLE; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return Math.max(0, 1 - front * sum);
  }
  // Lentz's method
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let value = d;
  for (let n = 1; n < 10_000; n++) {
    const factor = -n * (n - a);
    b += 2;
    d = 1 / (factor * d + b);
    c = b + factor / c;
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * value;
}

/** Two-sided 95 % quantiles of Student's t by degrees of freedom, from 1. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** Mean of repeated measurements with its 95 % interval by Student's t; no interval for a single one. */
export function meanInterval(samples: readonly number[]): { mean: number; low: number | null; high: number | null } {
  const mean = samples.reduce((sum, one) => sum + one, 0) / samples.length;
  const freedom = samples.length - 1;
  if (freedom < 1) return { mean, low: null, high: null };
  const variance = samples.reduce((sum, one) => sum + (one - mean) ** 2, 0) / freedom;
  const half = (T95[freedom - 1] ?? 1.96) * Math.sqrt(variance / samples.length);
  return { mean, low: mean - half, high: mean + half };
}
