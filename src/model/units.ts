import { meantDuration, meantPercent, orMeant } from "./meant.ts";
import { bad, good, quote, type Result } from "./text.ts";

/** Reads `2%`, `0.001%`: 0 to 100, up to six decimals. Gives the probability, 0 to 1. */
export function parsePercent(text: string): Result<number> {
  const both = bothPercents(text);
  if (both !== undefined) return bad(`${quote(text)} is no percentage; write ${both}`);
  return orMeant(text, readPercent, meantPercent);
}

/** `0.05` is 5% to who thinks of a share, and 0.05% to others: both; undefined for any other text. */
export function bothPercents(text: string): string | undefined {
  if (!/^0?\.\d{1,6}$/.test(text) || Number(text) === 0) return undefined;
  return `"${formatPercent(Number(text))}" or "${Number(text)}%"`;
}

/** The same without a guess. */
export function readPercent(text: string): Result<number> {
  const match = /^(\d{1,3})(\.\d{1,6})?%$/.exec(text);
  const percent = match ? Number(`${match[1]}${match[2] ?? ""}`) : Number.NaN;
  if (percent <= 100) return good(percent / 100);
  return bad(`${quote(text)} is no percentage; write 0% to 100%, with up to six decimals, for example "0.5%"`);
}

/** A probability as people write it: `2%`, `0.001%`. */
export function formatPercent(probability: number): string {
  return `${Number((probability * 100).toFixed(7))}%`;
}

const NS: Readonly<Record<string, number>> = { us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
const LONGEST_HOURS = 24 * 365;

/**
 * Reads Go's durations: `50ms`, `1.5s`, `1h30m`. Gives nanoseconds; at most a year. A number alone is none: what reads it
 * as milliseconds stands beside what reads it as seconds.
 * @param example what is usual where it is written; refusals guess its unit
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

/** Nanoseconds as people write them: `50ms`, `1.5s`. */
export function formatDuration(ns: number): string {
  if (ns >= 1e9) return `${ns / 1e9}s`;
  return ns >= 1e6 ? `${ns / 1e6}ms` : `${ns / 1e3}us`;
}
