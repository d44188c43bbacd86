import { meantDuration, meantPercent, orMeant } from "./meant.ts";
import { bad, good, quote, type Result } from "./text.ts";

/** Parses a percentage such as `2%` or `0.001%`: 0 to 100, up to six decimals. Returns a probability from 0 to 1. */
export function parsePercent(text: string): Result<number> {
  const both = bothPercents(text);
  if (both !== undefined) return bad(`${quote(text)} is no percentage; write ${both}`);
  return orMeant(text, readPercent, meantPercent);
}

/**
 * A number without `%` is ambiguous: `0.05` may mean 5% or 0.05%. Returns both spellings for the error message;
 * undefined for any other text.
 */
export function bothPercents(text: string): string | undefined {
  if (!/^0?\.\d{1,6}$/.test(text) || Number(text) === 0) return undefined;
  return `"${formatPercent(Number(text))}" or "${Number(text)}%"`;
}

/** Parses a percentage; the error message suggests nothing. */
export function readPercent(text: string): Result<number> {
  const match = /^(\d{1,3})(\.\d{1,6})?%$/.exec(text);
  const percent = match ? Number(`${match[1]}${match[2] ?? ""}`) : Number.NaN;
  if (percent <= 100) return good(percent / 100);
  return bad(`${quote(text)} is no percentage; write 0% to 100%, with up to six decimals, for example "0.5%"`);
}

/** Formats a probability as a percentage: `2%`, `0.001%`. */
export function formatPercent(probability: number): string {
  return `${Number((probability * 100).toFixed(7))}%`;
}

const NS: Readonly<Record<string, number>> = { us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
const LONGEST_HOURS = 24 * 365;

/**
 * Parses a duration in Go's syntax: `50ms`, `1.5s`, `1h30m`. Returns nanoseconds; at most a year. A number without a
 * unit is refused: some fields would mean milliseconds and others seconds.
 * @param example a usual value of the field; the error message suggests its unit
 */
export function parseDuration(text: string, example = "50ms"): Result<number> {
  const unit = example.replace(/[^a-z]/g, "");
  return orMeant(
    text,
    (one) => readDuration(one, example),
    (one) => meantDuration(one, unit),
  );
}

function readDuration(text: string, example: string): Result<number> {
  const hint = `write a number and a unit of us, ms, s, m or h, for example ${quote(example)}`;
  if (text.length > 64 || !/^(\d{1,9}(\.\d{1,9})?(us|µs|ms|s|m|h))+$/.test(text)) {
    return bad(`${quote(text)} is no duration; ${hint}`);
  }
  let sum = 0;
  for (const [, number = "", , unit = ""] of text.matchAll(/(\d+(\.\d+)?)(us|µs|ms|s|m|h)/g)) {
    sum += Number(number) * (NS[unit] ?? 0);
  }
  return sum <= LONGEST_HOURS * 3600e9 ? good(Math.round(sum)) : bad(`${quote(text)} is longer than a year`);
}

/** Formats nanoseconds as a duration: `50ms`, `1.5s`. */
export function formatDuration(ns: number): string {
  if (ns >= 1e9) return `${ns / 1e9}s`;
  return ns >= 1e6 ? `${ns / 1e6}ms` : `${ns / 1e3}us`;
}
