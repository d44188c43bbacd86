import type { Direction } from "./directions.ts";
import { type ByKey, type RuleKey, readKeys } from "./keyed.ts";
import type { RuleSettings } from "./limits.ts";
import { objectKey } from "./names.ts";
import type { Metadata } from "./objects.ts";
import type { Problem } from "./problem.ts";
import { type Macro, type ParsedProgram, parseProgramRules } from "./program-rules.ts";

/** A program of the administrator's list, asked for by a rule of one pod in one direction. Directions are the pod's. */
export interface ProgramRule {
  direction: Direction;
  /** Its name in the list. */
  program: string;
  /** As given, sorted by name. */
  macros: readonly Macro[];
  /** Where it is written: `ebpf-limit` (the pod's annotation), `Service/ns/name`. */
  source: string;
  /** Object and field, for problems. */
  object: string;
  path: string;
  configured: string;
}

/** What stands for a rule in the datapath: a linked program, by the name of its build. */
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

/** Programs that one object's annotations ask for, at most one a direction, with the key that each came from. */
export interface ReducedPrograms {
  byKey: ByKey<ParsedProgram>;
  programs: readonly (ParsedProgram & { key: string })[];
  problems: readonly Problem[];
}

/** Reads the programs that an object's annotations ask for, given its last good ones. */
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

/** Of two keys that speak of one direction the first in `PROGRAM_KEYS` counts. */
export function chosenPrograms(byKey: ByKey<ParsedProgram>): (ParsedProgram & { key: string })[] {
  const said = PROGRAM_KEYS.flatMap(({ key }) => (byKey[key] ?? []).map((one) => ({ ...one, key })));
  return said.filter((one, index) => said.findIndex(({ direction }) => direction === one.direction) === index);
}

function staying(kept: readonly ParsedProgram[] | undefined): string {
  if (!kept) return "it sets no program";
  return `the last good value stays: ${kept.map(({ configured }) => configured).join("; ")}`;
}

/** A program with its macros, for people and for comparing: `drop-one-of -DN=100`. */
export function describeProgram({ program, macros }: Pick<ProgramRule, "program" | "macros">): string {
  return [program, ...macros.map(({ name, value }) => `-D${name}=${value}`)].join(" ");
}
