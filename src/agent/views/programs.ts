import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import type { Planner } from "../../authors/planner.ts";
import { customInstance } from "../../functions/custom/custom.ts";
import type { PodPort } from "../../model/node-context.ts";
import type { ProgramRule } from "../../model/programs.ts";
import { type ProgramState, type Resolution, stateKey } from "../programs.ts";
import { type ProblemsOf, whyNoPort } from "./pods.ts";

/** Verdicts of a program, as counted by its wrapper. */
export interface ProgramUse {
  packets: number;
  bytes: number;
  dropped: number;
  other: number;
}

/** The datapath's readings of a user's program. */
export interface ProgramReadings {
  use(instance: string): ProgramUse;
  /** Why it is not in force. */
  fault(at: PodPort, rule: ProgramRule): string | undefined;
}

type Item = Plain<schema.Program>;

/** Receipts of users' programs: configured, effective, verdicts, and why one is not in force. */
export function programItems(
  { rules, ports }: Pick<Planner, "rules" | "ports">,
  { states }: Resolution,
  problemsOf: ProblemsOf,
  readings: ProgramReadings,
): Item[] {
  return rules.programs.keys().flatMap((pod) => {
    const why = whyNoPort(problemsOf, pod);
    return (rules.programs.get(pod)?.rules ?? []).map((rule) => item(pod, rule, ports.get(pod), states, readings, why));
  });
}

const NOTHING: ProgramUse = { packets: 0, bytes: 0, dropped: 0, other: 0 };
const STATES = { ready: "active", compiling: "compiling", refused: "refused" } as const;

function item(
  key: string,
  rule: ProgramRule,
  at: PodPort | undefined,
  states: ReadonlyMap<string, ProgramState>,
  readings: ProgramReadings,
  noPort: string,
): Item {
  const { direction, source, program, configured } = rule;
  const [namespace = "", pod = ""] = key.split("/");
  const common = { namespace, pod, direction, source, program, configured };
  const standing = states.get(stateKey(key, direction));
  const idle = { ...common, ...NOTHING, effective: null, build: null };
  if (at === undefined || !standing) {
    const why = at === undefined ? noPort : "it was not looked at yet";
    return { ...idle, state: "not enforced", reason: `not enforced: ${why}` };
  }
  const { build, effective = null, reason = null } = standing;
  if (build === undefined) return { ...idle, state: STATES[standing.state], reason };
  const instance = customInstance(at.id, direction, build);
  const fault = readings.fault(at, rule);
  if (fault !== undefined) return { ...idle, state: "not enforced", reason: `not enforced: ${fault}` };
  return { ...common, ...readings.use(instance), effective, build, state: STATES[standing.state], reason };
}
