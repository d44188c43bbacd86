import { bad, good, quote, type Result } from "./text.ts";

/** An exact rational: `numerator / denominator`, denominator > 0. Not reduced. */
export interface Quantity {
  numerator: bigint;
  denominator: bigint;
}

const LONGEST = 64;
/** Larger exponents are out of any range, and refused before a power is computed. */
const LARGEST_EXPONENT = 100;

const GRAMMAR = /^([+-]?)(\d+\.?\d*|\.\d+)(.*)$/;
const BINARY: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const HINT = "write a Kubernetes quantity such as 10M, 1.5G, 512Ki, 500k or 1e7";

/**
 * Parses a Kubernetes quantity (`10M`, `1Gi`, `1.5G`, `1e7`, `500m`, …) exactly, as defined in
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/. The suffix is case-sensitive: `m`
 * is 1/1000, `M` a million.
 */
export function parseQuantity(text: string): Result<Quantity> {
  if (text.length > LONGEST) return bad(`${quote(text)} is longer than ${LONGEST} characters`);
  const match = GRAMMAR.exec(text);
  if (!match) return bad(`${quote(text)} is not a number: ${HINT}`);
  const [, sign = "", digits = "", suffix = ""] = match;
  const [whole = "", fraction = ""] = digits.split(".");
  let numerator = BigInt(`${whole}${fraction}`);
  let denominator = 10n ** BigInt(fraction.length);
  const scale = scaleOf(suffix);
  if (!scale.ok) return bad(`${quote(text)}: ${scale.reason}`);
  const { base, exponent } = scale.value;
  if (exponent >= 0) numerator *= base ** BigInt(exponent);
  else denominator *= base ** BigInt(-exponent);
  return good({ numerator: sign === "-" ? -numerator : numerator, denominator });
}

function scaleOf(suffix: string): Result<{ base: bigint; exponent: number }> {
  if (Object.hasOwn(BINARY, suffix)) return good({ base: 2n, exponent: BINARY[suffix] as number });
  if (Object.hasOwn(DECIMAL, suffix)) return good({ base: 10n, exponent: DECIMAL[suffix] as number });
  const match = /^[eE]([+-]?\d+)$/.exec(suffix);
  if (!match) return bad(`${quote(suffix)} is not a suffix that Kubernetes knows; ${HINT}`);
  const exponent = Number(match[1]);
  if (Math.abs(exponent) > LARGEST_EXPONENT) return bad(`exponent ${match[1]} is out of range`);
  return good({ base: 10n, exponent });
}

/** Rounds up to an integer, like Kubernetes' `Value()`. */
export function ceiling({ numerator, denominator }: Quantity): bigint {
  const floor = numerator / denominator;
  const exact = floor * denominator === numerator;
  return exact || numerator < 0n ? floor : floor + 1n;
}
