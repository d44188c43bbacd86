import { delays, type ImpairRule, NO_FQ } from "../model/impair.ts";
import type { Overruled } from "../model/precedence.ts";
import type { Problem } from "../model/problem.ts";
import { NOBODY } from "../model/rule-objects.ts";
import type { Readable } from "../store/collection.ts";
import type { Choice, Rules } from "./rules.ts";

/** Problems of rules that are valid but have no effect, or not all of it. */

/**
 * Reports overruled rules: one problem per object, field and effect, however many pods it is about. Conflicts between
 * rules of the same rank are reported elsewhere.
 * @param choices by pod, `namespace/name`
 */
export function overruledProblems(choices: Iterable<readonly [string, Choice<unknown>]>): Problem[] {
  const found = new Map<string, { one: Overruled<unknown>; pods: string[] }>();
  for (const [pod, { overruled }] of choices) {
    for (const one of overruled) {
      if (one.agrees || one.isConflict) continue;
      const key = [one.object, one.path, one.what].join(" ");
      const known = found.get(key) ?? { one, pods: [] };
      if (known.pods.at(-1) !== pod) known.pods.push(pod);
      found.set(key, known);
    }
  }
  return [...found.values()].map(({ one: { object, path, what, by }, pods }) => {
    const more = pods.length > 1 ? ` and ${pods.length - 1} more` : "";
    const message = `says ${what}, but for ${pods[0]}${more} ${by.object} comes first (${by.what})`;
    return { object, path, message, severity: "warning" as const };
  });
}

/** The overruled rules of all kinds. */
export function overruledProblemsOf({
  limits,
  impairments,
  programs,
}: Pick<Rules, "limits" | "impairments" | "programs">) {
  const kinds: readonly Readable<Choice<unknown>>[] = [limits, impairments, programs];
  return kinds.flatMap((one) => overruledProblems(inOrder(one)));
}

/** Rows with their keys, sorted by key. */
export const inOrder = <T>(rows: Readable<T>): (readonly [string, T])[] =>
  rows.keys().map((key) => [key, rows.get(key) as T] as const);

const PEERS = "spec.match.peers";

/**
 * Reports impairments of local pods that cannot take effect, or not with all their effects.
 * @param told problems reported so far: an Impairment with a missing peer is not reported twice
 */
export function idleImpairments(
  choices: Iterable<readonly [string, Choice<ImpairRule>]>,
  { fq = false, now, told }: { fq?: boolean | undefined; now: number; told: readonly Problem[] },
): Problem[] {
  const missing = new Set(told.flatMap(({ object, path }) => (path?.startsWith(PEERS) ? [object] : [])));
  const found = new Map<string, Problem>();
  for (const [, { rules }] of choices) {
    for (const rule of rules) {
      const isOver = (rule.lease?.until ?? Number.POSITIVE_INFINITY) <= now;
      const problem = isOver || found.has(rule.source) ? undefined : idleness(rule, fq, missing);
      if (problem) found.set(rule.source, problem);
    }
  }
  return [...found.values()];
}

function idleness(rule: ImpairRule, fq: boolean, missing: ReadonlySet<string>): Problem | undefined {
  const object = rule.source;
  if (rule.match.peers?.length === 0) {
    return missing.has(object) ? undefined : { object, path: PEERS, message: NOBODY, severity: "warning" };
  }
  return !fq && delays(rule) ? { object, path: "spec", message: NO_FQ } : undefined;
}
