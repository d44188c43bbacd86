import { rateText } from "../limit-case.ts";
import type { Direction, Where } from "./bed.ts";
import type { Glimpse } from "./glimpse.ts";
import { type Load, loadText } from "./load.ts";
import { longestGap, type Reading, rateIn, type Times, without } from "./watch.ts";

export type RuleName = "loss" | "delay" | "drop-one-of" | "mark-dscp";

/** A rule that is added, changed and removed under one load. */
export interface Change extends Load {
  rule: RuleName;
  how: "annotation" | "Impairment";
  /** Limit of the same pod and direction, bit/s at layer 3; null: none. */
  limit: number | null;
  direction: Direction;
  where: Where;
}

/** A rule's first and second value: probability, seconds, or a macro's value. */
export const VALUES: Readonly<Record<RuleName, readonly [first: number, second: number]>> = {
  loss: [0.01, 0.001],
  delay: [0.01, 0.03],
  "drop-one-of": [100, 400],
  "mark-dscp": [10, 46],
};

/** Times of the edits, ms of the readings' clock. */
export interface Edits {
  came: number;
  changed: number;
  gone: number;
}

/** Datagrams of a whole case, and how many were counted as dropped. */
export interface Datagrams {
  sent: number;
  received: number;
  /** By the rule and the limit, at the pod's own port. */
  dropped: number;
  /** Lost with a removed queue of the limit, or still queued. */
  lost: number;
  queued: number;
  /** Packets of all traffic that full processor backlogs dropped meanwhile. */
  backlogDrops: number;
}

/** A rule's counters while it had one value. */
export interface Phase {
  packets: number;
  /** Lost or dropped. */
  hits: number;
  /** Mean time that packets were held, s; null if none was. */
  wait: number | null;
}

export interface ChangeResult extends Change {
  name: string;
  /** ms from each edit until the rule's receipt showed it, with packets counted; null: not before the next edit. */
  inForce: (number | null)[];
  /** The rule's counters for each value, from a second after the edit until the next edit. */
  phases: Phase[];
  /** Whether the node enforced the rule. Without the fq qdisc there is no delay. */
  enforced: boolean;
  /** The longest time without an arrival after the first edit, ms. */
  gap: number;
  /** The longest time in which the UDP sender sent nothing, ms; null for TCP. */
  idle: number | null;
  /** bit/s before the rule was added and after it was removed, from the limit's counter, or the receiver's if there is no limit. */
  before: number | null;
  after: number | null;
  /** Rate of the same load, started again without the rule; null unless it was needed for the verdict. */
  anew: number | null;
  /** UDP after the rule was removed: the rate that the limit could have passed, given what was sent, bit/s. */
  offered: number | null;
  datagrams: Datagrams | null;
  /** Mean rates over 200 ms at the receiver, Mbit/s, beginning 1 s before the first edit. */
  course: number[];
}

/** Measured spans before the first edit and after the last one, ms. */
export const BEFORE = 1500;
export const AFTER = { udp: { start: 1000, end: 6000 }, tcp: { start: 3000, end: 8000 } } as const;
/** Highest allowed time until an edit is in force, and without traffic, ms. */
export const MOST = 1000;
const COURSE = { before: 1000, bin: 200 };
/** Highest difference between the clocks of iperf3 and of the readings, ms. */
const SLACK = 100;

export interface Seen {
  readings: readonly Reading[];
  glimpses: readonly Glimpse[];
  edits: Edits;
  pauses: readonly Times[];
  datagrams: Datagrams | null;
}

/** Evaluates a case's readings. */
export function evaluateChange(one: Change, { readings, glimpses, edits, pauses, datagrams }: Seen): ChangeResult {
  const { start, end } = AFTER[one.protocol];
  const spans = [
    { start: edits.came - BEFORE, end: edits.came },
    { start: edits.gone + start, end: edits.gone + end },
  ] as const;
  // BBR sends less in ProbeRTT; with a limit its queue bridges that
  const held = one.limit === null ? pauses.map((at) => ({ start: at.start - SLACK, end: at.end + SLACK })) : [];
  const what = one.limit === null ? "received" : "limit";
  const [before = null, after = null] = spans.map((span) => rateIn(readings, what, without(span, held)) ?? null);
  const last = edits.gone + end;
  const [first, second] = VALUES[one.rule];
  const between = [
    { from: edits.came, to: edits.changed, value: first },
    { from: edits.changed, to: edits.gone, value: second },
    { from: edits.gone, to: last, value: null },
  ];
  const within = ({ from, to }: { from: number; to: number }): Glimpse[] =>
    glimpses.filter(({ time }) => time > from && time <= to);
  const bins = Math.floor((COURSE.before + last - edits.came) / COURSE.bin);
  const course = Array.from({ length: bins }, (_, i) => {
    const at = edits.came - COURSE.before + i * COURSE.bin;
    return Number(((rateIn(readings, "received", [{ start: at, end: at + COURSE.bin }]) ?? 0) / 1e6).toPrecision(4));
  });
  return {
    ...one,
    name: changeName(one),
    inForce: between.map((phase) => {
      const shows = ({ value, packets }: Glimpse): boolean => value === phase.value && (value === null || packets > 0);
      const found = within(phase).find(shows);
      return found ? found.time - phase.from : null;
    }),
    phases: between
      .slice(0, 2)
      .map(({ from, to, value }) => phaseOf(within({ from: from + MOST, to }).filter((seen) => seen.value === value))),
    enforced: glimpses.every(({ enforced }) => enforced),
    gap: longestGap(readings, { start: edits.came, end: last }),
    idle: one.protocol === "udp" ? longestGap(glimpses.map(asReading), { start: edits.came, end: last }) : null,
    before,
    after,
    anew: null,
    offered: one.protocol === "udp" && one.limit !== null ? offeredIn(glimpses, spans[1], one.limit) : null,
    datagrams,
    course,
  };
}

const asReading = ({ time, offered }: Glimpse): Reading => ({ time, limit: null, received: offered });

/** Mean of the sent rate, capped at the limit at each moment, so that a burst does not compensate for a pause of the sender. */
function offeredIn(glimpses: readonly Glimpse[], { start, end }: Times, limit: number): number | null {
  const within = glimpses.filter(({ time }) => time >= start && time <= end);
  const [first, last] = [within[0], within.at(-1)];
  if (!first || !last || first === last) return null;
  const bits = within.slice(1).reduce((sum, { time, offered }, i) => {
    const before = within[i] ?? first;
    return sum + Math.min(8 * (offered - before.offered), (limit * (time - before.time)) / 1000);
  }, 0);
  return (1000 * bits) / (last.time - first.time);
}

/** Differences between the first and the last reading of a rule. */
function phaseOf(glimpses: readonly Glimpse[]): Phase {
  const [a, b] = [glimpses[0], glimpses.at(-1)];
  if (!a || !b) return { packets: 0, hits: 0, wait: null };
  const held = b.delayed - a.delayed;
  const wait = held > 0 ? (b.waited - a.waited) / held : null;
  return { packets: b.packets - a.packets, hits: b.hits - a.hits, wait };
}

/** A case's name, which is also its key. */
export function changeName(one: Change): string {
  const { rule, how, limit, direction, where } = one;
  return `${rule} ${how} ${limit === null ? "unlimited" : rateText(limit)} ${direction} ${where} ${loadText(one)}`;
}
