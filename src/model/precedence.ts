import { type Effect, type Effects, type ImpairRule, MAX_IMPAIRMENTS } from "./impair.ts";
import { describeEffects } from "./impairments.ts";
import type { Direction, LimitRule } from "./limits.ts";
import type { Problem } from "./objects.ts";
import { describeProgram, type ProgramRule } from "./programs.ts";
import { formatRate } from "./text.ts";

/** Whose word counts: a pod's own, then that of objects made for rules, then that of Services. */
export const RANK = { own: 0, object: 1, service: 2 } as const;

/** What one author says of a pod. */
export interface Candidate<T> {
  rank: number;
  /** `Kind/namespace/name` of the author, and the field. */
  object: string;
  path: string;
  rule: T;
  /** Its time is over: it stands in no other's way. */
  ended?: boolean;
}

/** The rules of a pod that count, and what is said on those that do not. */
export interface Chosen<T> {
  rules: readonly T[];
  problems: readonly Problem[];
}

const byRank = (a: Candidate<unknown>, b: Candidate<unknown>): number =>
  Number(a.ended ?? false) - Number(b.ended ?? false) ||
  a.rank - b.rank ||
  (a.object < b.object ? -1 : a.object > b.object ? 1 : 0);

/** Two authors of one rank that differ: told on both, since either may be the one to mend. What the second says is not done. */
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

/** At most one limit a direction, ingress first. */
export const chooseLimits = (candidates: readonly Candidate<LimitRule>[]): Chosen<LimitRule> =>
  chooseOne(candidates, ({ rate }) => formatRate(rate));

/** At most one program a direction, ingress first. */
export const choosePrograms = (candidates: readonly Candidate<ProgramRule>[]): Chosen<ProgramRule> =>
  chooseOne(candidates, describeProgram);

/** `describe` says what a rule wants; two that want the same are no conflict. */
function chooseOne<T extends { direction: Direction }>(
  candidates: readonly Candidate<T>[],
  describe: (rule: T) => string,
): Chosen<T> {
  const rules: T[] = [];
  const problems: Problem[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const said = candidates.filter(({ rule }) => rule.direction === direction).toSorted(byRank);
    const [winner, ...others] = said;
    if (!winner) continue;
    rules.push(winner.rule);
    for (const other of others) {
      if (other.rank !== winner.rank || describe(other.rule) === describe(winner.rule)) continue;
      const what = ({ rule }: Candidate<T>): string => `${describe(rule)} ${direction}`;
      problems.push(...conflict(winner, other, [what(winner), what(other)]));
    }
  }
  return { rules, problems };
}

/**
 * Impairments that compose: of two for the same packets that want the same effect, the first counts; what else the second
 * wants stays. At most `MAX_IMPAIRMENTS` a direction.
 */
export function chooseImpairments(candidates: readonly Candidate<ImpairRule>[]): Chosen<ImpairRule> {
  const rules: ImpairRule[] = [];
  const problems: Problem[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const taken: Candidate<ImpairRule>[] = [];
    for (const one of candidates.filter(({ rule }) => rule.direction === direction).toSorted(byRank)) {
      const { left, conflicts } = withoutTaken(one, taken);
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
  return { rules, problems };
}

function withoutTaken(
  one: Candidate<ImpairRule>,
  taken: readonly Candidate<ImpairRule>[],
): { left: Effects; conflicts: Problem[] } {
  const match = JSON.stringify(one.rule.match);
  const rivals = taken.filter(({ rule }) => JSON.stringify(rule.match) === match);
  const left: Partial<Record<Effect, unknown>> = {};
  const conflicts: Problem[] = [];
  for (const [effect, wanted] of Object.entries(one.rule.effects) as [Effect, unknown][]) {
    const rival = rivals.find(({ rule }) => rule.effects[effect] !== undefined);
    if (!rival) {
      left[effect] = wanted;
      continue;
    }
    if (one.ended || rival.rank !== one.rank || JSON.stringify(rival.rule.effects[effect]) === JSON.stringify(wanted))
      continue;
    const what = ({ rule }: Candidate<ImpairRule>): string =>
      `${describeEffects({ [effect]: rule.effects[effect] })} ${rule.direction}`;
    conflicts.push(...conflict(rival, one, [what(rival), what(one)]));
  }
  return { left: left as Effects, conflicts };
}
