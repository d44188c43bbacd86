import { type Loss, lossProbability } from "./impair.ts";

/** Distributions of bursty loss (Gilbert–Elliott): losses among a number of packets, and lengths of runs of losses. */

export type Burst = Extract<Loss, { model: "burst" }>;

/** Share of packets in the bad state, in the long run. */
const badShare = ({ p, r }: Burst): number => (p + r === 0 ? 0 : p / (p + r));

/** The covariance of the losses of two packets is this × (1 − p − r)^distance. */
const spreadOf = (loss: Burst): number => {
  const bad = badShare(loss);
  return bad * (1 - bad) * (loss.lossBad - loss.lossGood) ** 2;
};

/**
 * Variance of the number of losses among `packets` consecutive ones, in the long run. Larger than the binomial
 * variance.
 */
export function burstVariance(loss: Burst, packets: number): number {
  const rate = lossProbability(loss);
  const single = packets * rate * (1 - rate);
  const memory = 1 - loss.p - loss.r;
  const spread = spreadOf(loss);
  if (spread === 0) return single;
  const left = 1 - memory;
  return single + 2 * spread * ((packets * memory) / left - (memory * (1 - memory ** packets)) / left ** 2);
}

/** Mean length of a run of losses, in the long run. */
export function meanRun(loss: Burst): number {
  const rate = lossProbability(loss);
  return rate / (rate - rate ** 2 - spreadOf(loss) * (1 - loss.p - loss.r));
}

/**
 * Probabilities of runs of 1, 2, … losses; the last is for `longest` or more. Without losses in the good state, runs
 * are independent and their lengths geometric.
 */
export function runLengths(loss: Burst, longest: number): number[] {
  const { p, r, lossGood, lossBad } = loss;
  const bad = badShare(loss);
  const step = (good: number, ill: number): [number, number] => [
    (good * (1 - p) + ill * r) * lossGood,
    (good * p + ill * (1 - r)) * lossBad,
  ];
  let [good, ill] = step((1 - bad) * (1 - lossGood), bad * (1 - lossBad));
  const all = good + ill;
  const out: number[] = [];
  for (let before = 1; out.length < longest - 1; ) {
    [good, ill] = step(good, ill);
    const longer = (good + ill) / all;
    out.push(before - longer);
    before = longer;
  }
  return [...out, Math.max(0, 1 - out.reduce((sum, one) => sum + one, 0))];
}

/**
 * Exact probabilities of 0, 1, … losses among `packets` that begin in the good state. They are the coefficients of (1,
 * 0) · (T · diag(1 − loss + loss·z))^packets · (1, 1), computed from its values at the roots of unity.
 */
export function burstDistribution(loss: Burst, packets: number): Float64Array {
  const size = 2 ** Math.ceil(Math.log2(packets + 1));
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  for (let i = 0; i <= size / 2; i++) {
    const angle = (2 * Math.PI * i) / size;
    const [x, y] = generating(loss, packets, Math.cos(angle), Math.sin(angle));
    // the coefficients are real, so the other half is conjugate
    const mirrored = (size - i) % size;
    [re[i], re[mirrored]] = [x, x];
    [im[mirrored], im[i]] = [-y, y];
  }
  fourier(re, im);
  return re.subarray(0, packets + 1).map((value) => Math.max(0, value / size));
}

type Complex = readonly [re: number, im: number];
/** A matrix, row by row. */
type Matrix = readonly [Complex, Complex, Complex, Complex];

const times = ([a, b]: Complex, [c, d]: Complex): Complex => [a * c - b * d, a * d + b * c];
const plus = ([a, b]: Complex, [c, d]: Complex): Complex => [a + c, b + d];
const product = ([a, b, c, d]: Matrix, [e, f, g, h]: Matrix): Matrix => [
  plus(times(a, e), times(b, g)),
  plus(times(a, f), times(b, h)),
  plus(times(c, e), times(d, g)),
  plus(times(c, f), times(d, h)),
];

/** The generating function at z = x + iy. */
function generating({ p, r, lossGood, lossBad }: Burst, packets: number, x: number, y: number): Complex {
  const good: Complex = [1 - lossGood + lossGood * x, lossGood * y];
  const bad: Complex = [1 - lossBad + lossBad * x, lossBad * y];
  const scale = (by: number, [a, b]: Complex): Complex => [by * a, by * b];
  let square: Matrix = [scale(1 - p, good), scale(p, bad), scale(r, good), scale(1 - r, bad)];
  let power: Matrix | undefined;
  for (let left = packets; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power = power ? product(power, square) : square;
    square = product(square, square);
  }
  return power ? plus(power[0], power[1]) : [1, 0];
}

/** Σ value_j · exp(−2πi·jk/n) in place; n is a power of two (Cooley and Tukey). */
function fourier(re: Float64Array, im: Float64Array): void {
  const size = re.length;
  const at = (array: Float64Array, index: number): number => array[index] ?? 0;
  const swap = (array: Float64Array, a: number, b: number): void => {
    [array[a], array[b]] = [at(array, b), at(array, a)];
  };
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) for (const array of [re, im]) swap(array, i, j);
  }
  for (let half = 1; half < size; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [c, s] = [Math.cos((Math.PI * k) / half), -Math.sin((Math.PI * k) / half)];
      for (let i = k; i < size; i += 2 * half) {
        const [a, b] = [at(re, i + half), at(im, i + half)];
        const [x, y] = [a * c - b * s, a * s + b * c];
        re[i + half] = at(re, i) - x;
        im[i + half] = at(im, i) - y;
        re[i] = at(re, i) + x;
        im[i] = at(im, i) + y;
      }
    }
  }
}

/** Probabilities that differ by no more than this are equal: the numerical error of the transform. */
const ROUNDING = 1e-15;

/**
 * Exact two-sided test by the method of small p-values, like `binomialTest`: the probability of a number of losses that
 * is at most as likely as `lost`. Packets begin in the good state. @throws RangeError on invalid counts
 */
export function burstTest(lost: number, packets: number, loss: Burst): number {
  const probabilities = burstDistribution(loss, packets);
  const own = probabilities[lost];
  if (own === undefined) throw new RangeError(`test ${lost} of ${packets}: no counts`);
  return Math.min(
    1,
    probabilities.reduce((sum, one) => (one <= own + ROUNDING ? sum + one : sum), 0),
  );
}
