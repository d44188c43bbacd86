import { gammaln, mean, sampleStandardDeviation } from "simple-statistics";

/** One-sided 95 % quantiles of Student's t by degrees of freedom. */
const T95 = [
  6.314, 2.92, 2.353, 2.132, 2.015, 1.943, 1.895, 1.86, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.74,
  1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699,
];

/** A ratio over interleaved pairs: its geometric mean, and one-sided 95 % bounds below and above. */
export interface Ratio {
  pairs: number;
  mean: number;
  lower: number;
  upper: number;
}

/**
 * Ratio of `a` to `b` over pairs, by Student's t on the logarithms.
 * @throws RangeError with fewer than two pairs or a value that is not positive
 */
export function pairedRatio(pairs: readonly (readonly [a: number, b: number])[]): Ratio {
  if (pairs.length < 2) throw new RangeError(`compare pairs: ${pairs.length} are too few`);
  if (pairs.some(([a, b]) => !(a > 0 && b > 0))) throw new RangeError("compare pairs: a value is not positive");
  const logs = pairs.map(([a, b]) => Math.log(a / b));
  const centre = mean(logs);
  const t = T95[pairs.length - 2] ?? 1.645;
  const margin = (t * sampleStandardDeviation(logs)) / Math.sqrt(logs.length);
  return {
    pairs: pairs.length,
    mean: Math.exp(centre),
    lower: Math.exp(centre - margin),
    upper: Math.exp(centre + margin),
  };
}

/** Value at rank `q` (0 to 1) of sorted samples, by the nearest rank; NaN of none. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN;
}

/** The usual quantiles of samples in any order. */
export interface Spread {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (q: number): number => quantile(sorted, q);
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

const STEPS = 2000;

/** P(T > t) of Student's t with `freedom` degrees, by Simpson's rule on its density. */
export function upperT(t: number, freedom: number): number {
  const scale = Math.exp(gammaln((freedom + 1) / 2) - gammaln(freedom / 2)) / Math.sqrt(freedom * Math.PI);
  // substitution t = √freedom · tan(angle), which makes the interval finite
  const density = (angle: number): number => scale * Math.sqrt(freedom) * Math.cos(angle) ** (freedom - 1);
  const from = Math.atan(t / Math.sqrt(freedom));
  const width = (Math.PI / 2 - from) / STEPS;
  let sum = density(from) + density(Math.PI / 2);
  for (let i = 1; i < STEPS; i++) sum += (i % 2 === 1 ? 4 : 2) * density(from + i * width);
  return (sum * width) / 3;
}

/**
 * One-sided p of a paired t test: the probability of differences of at least this size if their mean is at most 0. For equal
 * differences p is 0 or 1.
 * @throws RangeError with fewer than two
 */
export function pairedT(differences: readonly number[]): number {
  if (differences.length < 2) throw new RangeError(`test differences: ${differences.length} are too few`);
  const centre = mean([...differences]);
  const deviation = sampleStandardDeviation([...differences]);
  if (deviation === 0) return centre > 0 ? 0 : 1;
  return upperT((centre * Math.sqrt(differences.length)) / deviation, differences.length - 1);
}

/** Which hypotheses are rejected at a joint level by Holm's method, in the order of `values`. */
export function holm(values: readonly number[], level: number): boolean[] {
  const order = values.map((p, i) => ({ p, i })).toSorted((a, b) => a.p - b.p);
  const refused = values.map(() => false);
  for (const [rank, { p, i }] of order.entries()) {
    if (p > level / (values.length - rank)) break;
    refused[i] = true;
  }
  return refused;
}
