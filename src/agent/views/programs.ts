import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { customInstance } from "../../functions/custom/custom.ts";
import { type ClusterState, podPorts } from "../../model/cluster.ts";
import type { ProgramRule } from "../../model/programs.ts";
import { type Resolution, type Standing, standingKey } from "../programs.ts";
import { whyNoPort } from "./pods.ts";

/** What a program said, as its wrapper counted. */
export interface ProgramUse {
  packets: number;
  bytes: number;
  dropped: number;
  other: number;
}

/** What the datapath says of one program's instance. */
export interface ProgramReadings {
  use(instance: string): ProgramUse;
  /** Why it is not in force. */
  fault(device: string, instance: string): string | undefined;
}

type Item = Plain<schema.Program>;

/** Receipts: each rule with what was asked for, what acts, what it said of packets, and why it is not in force. */
export function programItems(
  { state, programs }: { state: ClusterState; programs: Resolution },
  readings: ProgramReadings,
): Item[] {
  const ports = new Map(podPorts(state).map((port) => [port.key, port.id]));
  return [...state.programs].flatMap(([pod, rules]) =>
    rules.map((rule) => item(pod, rule, ports.get(pod), programs.standings, readings, whyNoPort(state.problems, pod))),
  );
}

const NOTHING: ProgramUse = { packets: 0, bytes: 0, dropped: 0, other: 0 };
const STATES = { ready: "active", compiling: "compiling", refused: "refused" } as const;

function item(
  key: string,
  { direction, source, program, configured }: ProgramRule,
  device: string | undefined,
  standings: ReadonlyMap<string, Standing>,
  readings: ProgramReadings,
  noPort: string,
): Item {
  const [namespace = "", pod = ""] = key.split("/");
  const common = { namespace, pod, direction, source, program, configured };
  const standing = standings.get(standingKey(key, direction));
  const idle = { ...common, ...NOTHING, effective: null, build: null };
  if (device === undefined || !standing) {
    const why = device === undefined ? noPort : "it was not looked at yet";
    return { ...idle, state: "not enforced", reason: `not enforced: ${why}` };
  }
  const { build, effective = null, reason = null } = standing;
  if (build === undefined) return { ...idle, state: STATES[standing.state], reason };
  const instance = customInstance(device, direction, build);
  const fault = readings.fault(device, instance);
  if (fault !== undefined) return { ...idle, state: "not enforced", reason: `not enforced: ${fault}` };
  return { ...common, ...readings.use(instance), effective, build, state: STATES[standing.state], reason };
}
