import type { ImpairRule } from "../model/impair.ts";
import { chosen, LOSS_KEYS, lossRule, reduceLosses } from "../model/impairments.ts";
import { type LimitRule, limitsOf, RULE_KEYS, type RuleSettings, reduceRules } from "../model/limits.ts";
import { lookAlikes } from "../model/look-alikes.ts";
import type { ParsedLoss } from "../model/losses.ts";
import { fieldPath, objectKey } from "../model/names.ts";
import type { Metadata } from "../model/objects.ts";
import { type Candidate, RANK } from "../model/precedence.ts";
import type { Problem } from "../model/problem.ts";
import type { ParsedProgram } from "../model/program-rules.ts";
import { chosenPrograms, PROGRAM_KEYS, type ProgramRule, reducePrograms } from "../model/programs.ts";
import type { Remembered } from "../model/remembered.ts";

/** The rules in one object's labels and annotations. */
export interface ObjectRules {
  limits: readonly LimitRule[];
  losses: readonly (ParsedLoss & { key: string })[];
  programs: readonly (ParsedProgram & { key: string })[];
}

/** The rules of an object that count now, and what to store in `lastGood`. */
export interface Reading {
  said: ObjectRules;
  remembered: Remembered | undefined;
  /** The object is deleted, and the pod is still attached. No other object's rules apply to it. */
  gone: boolean;
}

type Named = Metadata & { namespace: string };

/**
 * Reads the rules in an object's labels and annotations. Never throws.
 * @param before its last valid rules
 */
export function readRules(
  before: Remembered | undefined,
  kind: "Pod" | "Service",
  metadata: Named,
  settings: RuleSettings,
): { reading: Reading; problems: Problem[] } {
  const { rules, limits, problems } = reduceRules(before, metadata, settings, kind);
  const known = before?.uid === metadata.uid ? before : undefined;
  const lost = reduceLosses(known?.losses ?? {}, kind, metadata, settings);
  const own = reducePrograms(known?.programs ?? {}, kind, metadata, settings);
  const remembered: Remembered = {
    ...rules,
    ...(Object.keys(lost.byKey).length > 0 && { losses: lost.byKey }),
    ...(Object.keys(own.byKey).length > 0 && { programs: own.byKey }),
  };
  const isEmpty = Object.keys({ ...rules.byKey, ...lost.byKey, ...own.byKey }).length === 0;
  const said = { limits, losses: lost.losses, programs: own.programs };
  return {
    reading: { said, remembered: isEmpty ? undefined : remembered, gone: false },
    problems: [...problems, ...lost.problems, ...own.problems, ...strayKeys(metadata, kind, settings)],
  };
}

/**
 * The rules of a pod whose object is deleted. Its own rules stay until it is detached: otherwise a terminating pod
 * would send without a limit.
 */
export function lastRules(remembered: Remembered): Reading {
  const { losses = {}, programs = {} } = remembered;
  const said = { limits: limitsOf(remembered), losses: chosen(losses), programs: chosenPrograms(programs) };
  return { said, remembered, gone: true };
}

/** Warns of keys that look like misspelt or misplaced rules. */
function strayKeys(metadata: Metadata, kind: "Pod" | "Service", settings: RuleSettings): Problem[] {
  const object = objectKey(kind, metadata);
  const found = lookAlikes(metadata, settings);
  return found.map(({ map, key, message }) => ({ object, path: fieldPath(map, key), message, severity: "warning" }));
}

/** Whether the object has any key that is a rule. */
export function hasRules(metadata: Metadata): boolean {
  return KEYS.some(({ map, key }) => Object.hasOwn(metadata[map], key));
}

/** The source of a rule: its key if the pod wrote it itself, else the object that wrote it. */
const sourceOf = (rank: number, object: string, key: string): string => (rank === RANK.own ? key : object);

/** The limits in a pod's or Service's metadata as candidates for one pod. */
export function limitsFrom({ limits }: ObjectRules, rank: number, object: string): Candidate<LimitRule>[] {
  return limits.map((rule) => {
    const map = RULE_KEYS.find(({ key }) => key === rule.source)?.map ?? "annotations";
    const source = sourceOf(rank, object, rule.source);
    return { rank, object, path: fieldPath(map, rule.source), rule: { ...rule, source } };
  });
}

export function impairmentsFrom(
  { losses }: ObjectRules,
  rank: number,
  object: string,
  settings: RuleSettings,
): Candidate<ImpairRule>[] {
  return losses.map((loss) => {
    const rule = lossRule(loss, sourceOf(rank, object, loss.key), settings);
    return { rank, object, path: fieldPath("annotations", loss.key), rule };
  });
}

export function programsFrom({ programs }: ObjectRules, rank: number, object: string): Candidate<ProgramRule>[] {
  return programs.map(({ key, ...parsed }) => {
    const path = fieldPath("annotations", key);
    return { rank, object, path, rule: { ...parsed, source: sourceOf(rank, object, key), object, path } };
  });
}

const KEYS: readonly { map: "annotations" | "labels"; key: string }[] = [...RULE_KEYS, ...LOSS_KEYS, ...PROGRAM_KEYS];
