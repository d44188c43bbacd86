import type { Direction } from "./directions.ts";
import { type ByKey, byPrecedence, firstOfDirection, type RuleKey, readKeys } from "./keyed.ts";
import type { RuleSettings } from "./limits.ts";
import { objectKey } from "./names.ts";
import type { Metadata } from "./objects.ts";
import type { Problem } from "./problem.ts";
import { type Macro, type ParsedProgram, parseProgramRules } from "./program-rules.ts";

/** A rule for a program of the administrator's list, for one pod and direction. Directions are the pod's. */
export interface ProgramRule {
  direction: Direction;
  /** Its name in the list. */
  program: string;
  /** As given, sorted by name. */
  macros: readonly Macro[];
  /** The source of the rule: `ebpf-limit` (the pod's annotation), `Service/ns/name`. */
  source: string;
  /** Object and field, for problems. */
  object: string;
  path: string;
  configured: string;
}

/** A rule's program in the datapath: the name of its build. */
export interface ProgramInForce {
  direction: Direction;
  build: string;
}

type ProgramKey = RuleKey<ParsedProgram, RuleSettings>;

/** Every key of programs, highest precedence first. */
export const PROGRAM_KEYS: readonly ProgramKey[] = [
  { map: "annotations", key: "weir.dev/ebpf-limit", parse: parseProgramRules },
  { map: "annotations", key: "ebpf-limit", setting: "ebpfLimit", parse: parseProgramRules },
];

/** An object's programs, at most one per direction, with their keys. */
export interface ReducedPrograms {
  byKey: ByKey<ParsedProgram>;
  programs: readonly (ParsedProgram & { key: string })[];
  problems: readonly Problem[];
}

/** Reads the programs in an object's annotations, given its last valid ones. */
export function reducePrograms(
  before: ByKey<ParsedProgram>,
  kind: "Pod" | "Service",
  metadata: Metadata & { namespace: string },
  settings: RuleSettings,
): ReducedPrograms {
  const object = objectKey(kind, metadata);
  const { byKey, problems } = readKeys(PROGRAM_KEYS, { object, metadata, before, settings }, staying);
  return { byKey, programs: chosenPrograms(byKey), problems };
}

/** Of two keys with the same direction the first in `PROGRAM_KEYS` counts. */
export function chosenPrograms(byKey: ByKey<ParsedProgram>): (ParsedProgram & { key: string })[] {
  return firstOfDirection(byPrecedence(PROGRAM_KEYS, byKey)).map(({ key, rule }) => ({ ...rule, key }));
}

function staying(kept: readonly ParsedProgram[] | undefined): string {
  if (!kept) return "it sets no program";
  return `the last good value stays: ${kept.map(({ configured }) => configured).join("; ")}`;
}

/** A program with its macros as text, also for comparison: `drop-one-of -DN=100`. */
export function describeProgram({ program, macros }: Pick<ProgramRule, "program" | "macros">): string {
  return [program, ...macros.map(({ name, value }) => `-D${name}=${value}`)].join(" ");
}
