import { bad, good, quote, type Result } from "./text.ts";

/** Reads `2%`, `0.001%`: 0 to 100, up to six decimals. Gives the probability, 0 to 1. */
export function parsePercent(text: string): Result<number> {
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

/** Reads Go's durations: `50ms`, `1.5s`, `1h30m`. Gives nanoseconds; at most a year. */
export function parseDuration(text: string): Result<number> {
  const hint = 'write a number and a unit of us, ms, s, m or h, for example "50ms" or "1m30s"';
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
