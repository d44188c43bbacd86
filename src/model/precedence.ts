import type { Direction } from "./directions.ts";
import { type Effect, type Effects, type ImpairRule, MAX_IMPAIRMENTS } from "./impair.ts";
import { describeEffects } from "./impairments.ts";
import type { LimitRule } from "./limits.ts";
import { memo, memoMembers } from "./memo.ts";
import type { Problem } from "./problem.ts";
import { describeProgram, type ProgramRule } from "./programs.ts";
import { formatRate } from "./text.ts";

/**
 * Precedence of rules: objects with `override`, the pod's own metadata, other rule objects, Services, and last those of
 * `weir impair` without `override`.
 */
export const RANK = { override: 0, own: 1, object: 2, service: 3, oneOff: 4 } as const;

/** A rule for a pod, from one object. */
export interface Candidate<T> {
  rank: number;
  /** The object (`Kind/namespace/name`) and the field of the rule. */
  object: string;
  path: string;
  rule: T;
  /** Its time has passed, so it overrules nothing. */
  ended?: boolean;
}

/** A rule that another one overrules. */
export interface Overruled<T> {
  /** Of the overruled rule. */
  object: string;
  path: string;
  rule: T;
  /** What is overruled, such as `5 Mbit/s egress`; for impairments one of several effects. */
  what: string;
  by: { object: string; rule: T; what: string };
  /** Both ask for the same, so nothing is missed. */
  agrees: boolean;
  /** Both have the same rank and differ. */
  isConflict: boolean;
  /** All of the rule is overruled. */
  whole: boolean;
}

/** A pod's rules in force, overruled rules, and problems of conflicts. */
export interface Chosen<T> {
  rules: readonly T[];
  overruled: readonly Overruled<T>[];
  problems: readonly Problem[];
}

const byRank = (a: Candidate<unknown>, b: Candidate<unknown>): number =>
  Number(a.ended ?? false) - Number(b.ended ?? false) ||
  a.rank - b.rank ||
  (a.object < b.object ? -1 : a.object > b.object ? 1 : 0);

/**
 * A conflict of two rules with the same rank, reported on both objects, since either may be wrong. The second is not in
 * force.
 */
function conflict(
  first: Candidate<unknown>,
  second: Candidate<unknown>,
  what: [first: string, second: string],
): Problem[] {
  const [ours, theirs] = what;
  return [
    {
      object: first.object,
      path: first.path,
      severity: "warning",
      message: `says ${ours}; ${second.object} says ${theirs} for the same pod, and comes later: this one counts`,
    },
    {
      object: second.object,
      path: second.path,
      message: `says ${theirs}, but ${first.object} says ${ours} for the same pod and comes first; remove one of them`,
    },
  ];
}

function lost<T>(
  first: Candidate<T>,
  second: Candidate<T>,
  [ours, theirs]: [first: string, second: string],
  how: Pick<Overruled<T>, "agrees" | "whole">,
): Overruled<T> {
  const { object, path, rule } = second;
  const by = { object: first.object, rule: first.rule, what: ours };
  const isConflict = first.rank === second.rank && !how.agrees;
  return { object, path, rule, what: theirs, by, isConflict, ...how };
}

/** Results for more candidates than this are shared by the pods that have the same ones. */
const FEW = 16;

/** Pods that the same objects select have the same result, not one each: there may be thousands of either. */
function shared<T>(
  choose: (candidates: readonly Candidate<T>[]) => Chosen<T>,
): (candidates: readonly Candidate<T>[]) => Chosen<T> {
  const known = memoMembers(choose);
  return (candidates) => (candidates.length > FEW ? known(candidates) : choose(candidates));
}

/** At most one limit per direction, ingress first. */
export const chooseLimits = shared((candidates: readonly Candidate<LimitRule>[]) =>
  chooseOne(candidates, ({ rate }) => formatRate(rate)),
);

/** At most one program per direction, ingress first. */
export const choosePrograms = (candidates: readonly Candidate<ProgramRule>[]): Chosen<ProgramRule> =>
  chooseOne(candidates, describeProgram);

/** @param describe what a rule asks for; two rules that ask for the same do not conflict */
function chooseOne<T extends { direction: Direction }>(
  candidates: readonly Candidate<T>[],
  describe: (rule: T) => string,
): Chosen<T> {
  const rules: T[] = [];
  const overruled: Overruled<T>[] = [];
  const problems: Problem[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const said = candidates.filter(({ rule }) => rule.direction === direction).toSorted(byRank);
    const [winner, ...others] = said;
    if (!winner) continue;
    rules.push(winner.rule);
    const ours = describe(winner.rule);
    for (const other of others) {
      const theirs = describe(other.rule);
      const texts: [string, string] = [`${ours} ${direction}`, `${theirs} ${direction}`];
      const one = lost(winner, other, texts, { agrees: theirs === ours, whole: true });
      overruled.push(one);
      if (one.isConflict) problems.push(...conflict(winner, other, [one.by.what, one.what]));
    }
  }
  return { rules, overruled, problems };
}

/**
 * Combines impairments: if two ask for the same effect on the same packets, the first counts; other effects of the
 * second are kept. At most `MAX_IMPAIRMENTS` per direction.
 */
export const chooseImpairments = shared(combineImpairments);

function combineImpairments(candidates: readonly Candidate<ImpairRule>[]): Chosen<ImpairRule> {
  const rules: ImpairRule[] = [];
  const overruled: Overruled<ImpairRule>[] = [];
  const problems: Problem[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const taken: Candidate<ImpairRule>[] = [];
    for (const one of candidates.filter(({ rule }) => rule.direction === direction).toSorted(byRank)) {
      const { left, found, conflicts } = withoutTaken(one, taken);
      overruled.push(...found);
      problems.push(...conflicts);
      if (Object.keys(left).length === 0) continue;
      if (taken.length === MAX_IMPAIRMENTS && one.ended) continue;
      if (taken.length === MAX_IMPAIRMENTS) {
        const message = `a pod has more than ${MAX_IMPAIRMENTS} impairments of its ${direction}; this one is left out`;
        problems.push({ object: one.object, path: one.path, message });
        continue;
      }
      taken.push({ ...one, rule: { ...one.rule, effects: left } });
    }
    rules.push(...taken.map(({ rule }) => rule));
  }
  return { rules, overruled, problems };
}

interface Left {
  left: Effects;
  found: Overruled<ImpairRule>[];
  conflicts: Problem[];
}

/** A match as text, to compare: it may have thousands of peers, and is compared for each pod and rival. */
const textOf = memo((match: ImpairRule["match"]): string => JSON.stringify(match));

/** The description of each effect of a rule. */
const effectTexts = memo(
  (effects: Effects): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(effects).map(([effect, one]) => [effect, describeEffects({ [effect]: one })])),
);

function withoutTaken(one: Candidate<ImpairRule>, taken: readonly Candidate<ImpairRule>[]): Left {
  const match = textOf(one.rule.match);
  const rivals = taken.filter(({ rule }) => textOf(rule.match) === match);
  const left: Partial<Record<Effect, unknown>> = {};
  const losses: { effect: Effect; rival: Candidate<ImpairRule> }[] = [];
  for (const [effect, wanted] of Object.entries(one.rule.effects) as [Effect, unknown][]) {
    const rival = rivals.find(({ rule }) => rule.effects[effect] !== undefined);
    if (rival) losses.push({ effect, rival });
    else left[effect] = wanted;
  }
  // an ended rule misses nothing
  if (one.ended) return { left: left as Effects, found: [], conflicts: [] };
  const whole = Object.keys(left).length === 0;
  const conflicts: Problem[] = [];
  const found = losses.map(({ effect, rival }) => {
    const what = ({ rule }: Candidate<ImpairRule>): string => `${effectTexts(rule.effects)[effect]} ${rule.direction}`;
    const agrees = JSON.stringify(rival.rule.effects[effect]) === JSON.stringify(one.rule.effects[effect]);
    const loss = lost(rival, one, [what(rival), what(one)], { agrees, whole });
    if (loss.isConflict) conflicts.push(...conflict(rival, one, [loss.by.what, loss.what]));
    return loss;
  });
  return { left: left as Effects, found, conflicts };
}
