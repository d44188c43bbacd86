import type { Direction } from "./directions.ts";
import { isDirection, parseDirections } from "./directions.ts";
import { meantBandwidth, meantQuantity, orMeant } from "./meant.ts";
import { ceiling, parseQuantity } from "./quantity.ts";
import { bad, formatRate, good, quote, type Result } from "./text.ts";

/** Smallest and largest rate that a rule may ask for, bit/s: 8 kbit/s (1 kB/s) to 1 Tbit/s. */
export const MINIMUM_RATE = 8_000;
export const MAXIMUM_RATE = 1_000_000_000_000;

/** One part of a value: a rate in bit/s for one direction, and its text. */
export interface ParsedRule {
  direction: Direction;
  rate: number;
  configured: string;
}

const LONGEST = 256;
const UNITS: Record<string, bigint> = { bps: 1n, kbits: 1_000n, mbps: 1_000_000n };
const BANDWIDTH_HINT = 'write "<whole number> <bps|kbits|mbps> <ingress|egress>", for example "10 mbps egress"';

/**
 * Reads podmgr's grammar: `10 mbps egress`. Units are bits per second: `bps`, `kbits` (10^3), `mbps` (10^6).
 * An object has one annotation of a name, so two directions are two rules with `;` or `,` between them.
 */
export function parseBandwidth(value: string): Result<ParsedRule[]> {
  return parseDirections(value, { longest: LONGEST, hint: BANDWIDTH_HINT }, parseBandwidthRule);
}

const parseBandwidthRule = (text: string): Result<ParsedRule> => orMeant(text, readBandwidthRule, meantBandwidth);

function readBandwidthRule(text: string): Result<ParsedRule> {
  const [amount = "", unit = "", direction = "", ...rest] = text.split(/[ \t]+/);
  if (!/^\d+$/.test(amount) || rest.length > 0) return bad(`${quote(text)} is not a rule; ${BANDWIDTH_HINT}`);
  if (!Object.hasOwn(UNITS, unit)) return bad(`${quote(text)} has the unit ${quote(unit)}; ${BANDWIDTH_HINT}`);
  if (!isDirection(direction)) {
    return bad(`${quote(text)} has the direction ${quote(direction)}; ${BANDWIDTH_HINT}`);
  }
  const rate = withinBounds(BigInt(amount) * (UNITS[unit] as bigint), text);
  return rate.ok ? good({ direction, rate: rate.value, configured: text }) : rate;
}

/** Reads a Kubernetes quantity in bit/s, rounded up to a whole bit/s. */
export function parseBandwidthQuantity(value: string, direction: Direction): Result<ParsedRule[]> {
  const rate = parseRate(value);
  return rate.ok ? good([{ direction, rate: rate.value, configured: value }]) : rate;
}

/** Reads a Kubernetes quantity that is a rate: bit/s. */
export const parseRate = (text: string): Result<number> => orMeant(text, readRate, meantQuantity);

function readRate(text: string): Result<number> {
  const quantity = parseQuantity(text);
  return quantity.ok ? withinBounds(ceiling(quantity.value), text) : quantity;
}

/** Unit of the `rate` label. */
export type RateUnit = "megabits" | "megabytes";

/** Reads bpf-ratelimit's label: `10M`. That tool limited what a pod sends, so the rule is egress. */
export const parseRateLabel = (value: string, unit: RateUnit): Result<ParsedRule[]> =>
  orMeant(value, (text) => readRateLabel(text, unit), meantQuantity);

function readRateLabel(value: string, unit: RateUnit): Result<ParsedRule[]> {
  const match = /^(\d{1,63})M$/.exec(value);
  if (!match)
    return bad(`${quote(value)} is not a rate; write "<whole number>M", for example "10M" (${unit} a second)`);
  const rate = withinBounds(BigInt(match[1] as string) * (unit === "megabits" ? 1_000_000n : 8_000_000n), value);
  return rate.ok ? good([{ direction: "egress", rate: rate.value, configured: value }]) : rate;
}

function withinBounds(bits: bigint, written: string): Result<number> {
  if (bits < MINIMUM_RATE) {
    const hint = bits === 0n ? "; to lift a limit, remove the key" : "";
    return bad(`${quote(written)} is below the smallest rate, ${formatRate(MINIMUM_RATE)}${hint}`);
  }
  if (bits > MAXIMUM_RATE) return bad(`${quote(written)} is above the largest rate, ${formatRate(MAXIMUM_RATE)}`);
  return good(Number(bits));
}
