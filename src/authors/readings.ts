import type { ImpairRule } from "../model/impair.ts";
import { chosen, LOSS_KEYS, lossRule, reduceLosses } from "../model/impairments.ts";
import { type LimitRule, limitsOf, RULE_KEYS, type RuleSettings, reduceRules } from "../model/limits.ts";
import { lookAlikes } from "../model/look-alikes.ts";
import type { ParsedLoss } from "../model/losses.ts";
import { fieldPath, objectKey } from "../model/names.ts";
import type { Metadata, Problem } from "../model/objects.ts";
import { type Candidate, RANK } from "../model/precedence.ts";
import type { ParsedProgram } from "../model/program-rules.ts";
import { chosenPrograms, PROGRAM_KEYS, type ProgramRule, reducePrograms } from "../model/programs.ts";
import type { Remembered } from "../model/remembered.ts";

/** What one author's labels and annotations say. */
export interface Said {
  limits: readonly LimitRule[];
  losses: readonly (ParsedLoss & { key: string })[];
  programs: readonly (ParsedProgram & { key: string })[];
}

/** An object's rules as they count now, and what is to be remembered of them. */
export interface Reading {
  said: Said;
  remembered: Remembered | undefined;
  /** The object is gone, and only its network is left: nobody else's rules are about it. */
  gone: boolean;
}

type Named = Metadata & { namespace: string };

/** Reads the rules of an object's labels and annotations. `before`: its last valid ones. Never throws. */
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
 * A pod's object goes before its network does. Its own rules stay as long as the network: else a dying pod would send at
 * full speed.
 */
export function lastRules(remembered: Remembered): Reading {
  const { losses = {}, programs = {} } = remembered;
  const said = { limits: limitsOf(remembered), losses: chosen(losses), programs: chosenPrograms(programs) };
  return { said, remembered, gone: true };
}

/** Keys that may have been meant as rules. */
function strayKeys(metadata: Metadata, kind: "Pod" | "Service", settings: RuleSettings): Problem[] {
  const object = objectKey(kind, metadata);
  const found = lookAlikes(metadata, settings);
  return found.map(({ map, key, message }) => ({ object, path: fieldPath(map, key), message, severity: "warning" }));
}

/** Has the object any key that is a rule? */
export function hasRules(metadata: Metadata): boolean {
  return KEYS.some(({ map, key }) => Object.hasOwn(metadata[map], key));
}

/** Whether a rule is the author's for itself: its source is the key then, else the author. */
const sourceOf = (rank: number, object: string, key: string): string => (rank === RANK.own ? key : object);

/** What a pod or a Service says of limits, for one pod. */
export function limitsSaid({ limits }: Said, rank: number, object: string): Candidate<LimitRule>[] {
  return limits.map((rule) => {
    const map = RULE_KEYS.find(({ key }) => key === rule.source)?.map ?? "annotations";
    const source = sourceOf(rank, object, rule.source);
    return { rank, object, path: fieldPath(map, rule.source), rule: { ...rule, source } };
  });
}

export function impairmentsSaid(
  { losses }: Said,
  rank: number,
  object: string,
  settings: RuleSettings,
): Candidate<ImpairRule>[] {
  return losses.map((loss) => {
    const rule = lossRule(loss, sourceOf(rank, object, loss.key), settings);
    return { rank, object, path: fieldPath("annotations", loss.key), rule };
  });
}

export function programsSaid({ programs }: Said, rank: number, object: string): Candidate<ProgramRule>[] {
  return programs.map(({ key, ...parsed }) => {
    const path = fieldPath("annotations", key);
    return { rank, object, path, rule: { ...parsed, source: sourceOf(rank, object, key), object, path } };
  });
}

const KEYS: readonly { map: "annotations" | "labels"; key: string }[] = [...RULE_KEYS, ...LOSS_KEYS, ...PROGRAM_KEYS];
