import { rateText } from "../limit-case.ts";
import type { Finding } from "../report.ts";
import type { Direction, How, Where } from "./bed.ts";
import { type Load, loadText } from "./load.ts";
import { longestGap, type Reading, rateIn, type Times, without } from "./watch.ts";

/** One edit of a limit under one load. Rates in bit/s at layer 3; null: no limit. */
export interface Step extends Load {
  from: number | null;
  to: number | null;
  direction: Direction;
  where: Where;
  how: How;
}

export interface StepResult extends Step {
  name: string;
  /** Mean rate over the judged span, from the limit's counter, or the receiver's if there is no limit; null if nothing was counted. */
  rate: number | null;
  /** The longest time without an arrival after the edit, ms. */
  gap: number;
  /** Rate of the same load without a limit, bit/s. */
  unlimited: number;
  /** ms of the span in which BBR was in ProbeRTT. */
  paused: number;
  /** Mean rates over 200 ms at the receiver, Mbit/s, beginning 1 s before the edit. */
  course: number[];
}

/** The judged span after an edit, ms. */
export const SPAN = { udp: { start: 1000, end: 6000 }, tcp: { start: 3000, end: 8000 } } as const;
const COURSE = { before: 1000, bin: 200 };
/** From this rate the four segments per round trip of BBR's ProbeRTT are too few, bit/s. */
const PAUSED = 2e9;
/** Highest difference between the clocks of iperf3 and of the readings, ms. */
const SLACK = 100;

/** Evaluates a case's readings. Times are those of the readings. */
export function evaluateStep(
  step: Step,
  seen: { readings: readonly Reading[]; edited: number; pauses: readonly Times[]; unlimited: number },
): StepResult {
  const { readings, edited, unlimited } = seen;
  const { start, end } = SPAN[step.protocol];
  const span = { start: edited + start, end: edited + end };
  const excused = step.congestion === "bbr" && (step.to ?? 0) >= PAUSED;
  const pauses = excused ? seen.pauses.map((one) => ({ start: one.start - SLACK, end: one.end + SLACK })) : [];
  const spans = without(span, pauses);
  const left = spans.reduce((sum, one) => sum + one.end - one.start, 0);
  const bins = Math.floor((COURSE.before + end) / COURSE.bin);
  const course = Array.from({ length: bins }, (_, i) => {
    const at = edited - COURSE.before + i * COURSE.bin;
    return Number(((rateIn(readings, "received", [{ start: at, end: at + COURSE.bin }]) ?? 0) / 1e6).toPrecision(4));
  });
  return {
    ...step,
    name: stepName(step),
    rate: rateIn(readings, step.to === null ? "received" : "limit", spans) ?? null,
    gap: longestGap(readings, { start: edited, end: span.end }),
    unlimited,
    paused: end - start - left,
    course,
  };
}

const percent = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(2)} %`;
const TOLERANCE = 0.02;
const LEAST = 0.9;
/** Longest allowed time without an arrival, ms. */
const MOST_GAP = 1000;

/** Within ±2 % of the new rate and, for TCP, no gap over a second. Without a new limit: at least 0.9 of the unlimited rate. */
export function judgeStep(result: StepResult): Finding {
  const { name: what, to, rate, gap, unlimited, protocol } = result;
  const gapless = protocol === "udp" || gap <= MOST_GAP;
  const stops = protocol === "udp" ? "" : `, longest gap ${gap.toFixed(0)} ms`;
  const gaps = protocol === "udp" ? "" : ", no gap over 1 s";
  if (to === null) {
    const share = (rate ?? 0) / unlimited;
    const measured = `${share.toFixed(3)} of what it is without${stops}`;
    const holds = share >= LEAST && gapless;
    return { what, measured, target: `≥ ${LEAST}${gaps}`, verdict: holds ? "holds" : "misses" };
  }
  const error = (rate ?? 0) / to - 1;
  const measured = `${rate === null ? "nothing counted" : percent(error)}${stops}`;
  const target = `±${100 * TOLERANCE} %${gaps}`;
  if (Math.abs(error) <= TOLERANCE && gapless) return { what, measured, target, verdict: "holds" };
  if (unlimited < 1.02 * to && gapless) {
    return { what, measured: `${measured}; this machine carries ${rateText(unlimited)}`, target, verdict: "shown" };
  }
  return { what, measured, target, verdict: "misses" };
}

const stepRate = (rate: number | null): string => (rate === null ? "unlimited" : rateText(rate));

/** A case's name, which is also its key. */
export function stepName(step: Step): string {
  const { from, to, direction, where, how } = step;
  return `${stepRate(from)}→${stepRate(to)} ${direction} ${where} ${how} ${loadText(step)}`;
}
