import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { type ClusterState, podPorts } from "../../model/cluster.ts";
import { type LimitCounts, NOT_COUNTED, NOTHING_YET } from "../../model/limit-counts.ts";
import { type LimitRule, RULE_KEYS } from "../../model/limits.ts";
import type { Pod, Problem } from "../../model/objects.ts";
import type { Overruled } from "../../model/precedence.ts";
import { podKey, whyNoPort, whyOverruled } from "./pods.ts";

/** What the datapath says of one limit. */
export interface LimitReadings {
  /** bit/s that the datapath enforces, or why it does not. */
  enforced(device: string, rule: LimitRule): { rate: number } | { reason: string };
  /** bit/s at layer 3 over the last full busy window, and how long ago that ended, s; undefined if there was none. */
  measured(device: string, rule: LimitRule): { rate: number; age: number } | undefined;
  /** What it counted; undefined before the first packet, and if the datapath does not have it. */
  counted(device: string, rule: LimitRule): LimitCounts | undefined;
}

type Item = Plain<schema.Limit>;

/** Receipts: each rule with what was configured, what is in force, what was measured, and why they differ. */
export function limitItems(state: ClusterState, readings: LimitReadings): Item[] {
  const ports = new Map(podPorts(state).map((port) => [port.key, port.id]));
  const pods = new Map(state.pods.map((pod) => [podKey(pod.metadata), pod]));
  const items: Item[] = [];
  for (const [key, rules] of state.limits) {
    const faults = faultsOf(state.problems, key, pods.get(key));
    const device = ports.get(key);
    const why = whyNoPort(state.problems, key);
    for (const rule of rules) items.push(item(key, rule, device, faults.get(rule.source), readings, why));
  }
  for (const [key, all] of state.overruled.limits) {
    const device = ports.get(key);
    for (const one of all) items.push(overruledItem(key, one, device, readings, whyNoPort(state.problems, key)));
  }
  for (const [key, pod] of pods) {
    const inForce = new Set((state.limits.get(key) ?? []).map((rule) => rule.source));
    for (const [source, fault] of faultsOf(state.problems, key, pod)) {
      if (inForce.has(source)) continue;
      items.push({
        ...identity(key),
        direction: directionOf(source),
        source,
        written: fault.written,
        ...NOTHING,
        reason: fault.message,
      });
    }
  }
  return items.toSorted((a, b) => order(a) - order(b) || compare(sortKey(a), sortKey(b)));
}

const NOTHING = {
  ...{ configured: null, effective: null, measured: null, measuredAge: null, mechanism: null },
  ...NOT_COUNTED,
} as const;

function item(
  key: string,
  rule: LimitRule,
  device: string | undefined,
  fault: Fault | undefined,
  readings: LimitReadings,
  why: string,
): Item {
  const { direction, source } = rule;
  const common = { ...identity(key), direction, source, written: fault?.written ?? rule.configured };
  const configured = fault ? null : rule.rate;
  if (device === undefined) {
    return {
      ...common,
      ...NOTHING,
      configured,
      reason: fault?.message ?? `not enforced: ${why}`,
    };
  }
  const enforced = readings.enforced(device, rule);
  const { rate: measured = null, age: measuredAge = null } = readings.measured(device, rule) ?? {};
  const none = "reason" in enforced ? NOT_COUNTED : NOTHING_YET;
  const did = { measured, measuredAge, ...(readings.counted(device, rule) ?? none) };
  if ("reason" in enforced) {
    return {
      ...common,
      ...did,
      configured,
      effective: null,
      mechanism: null,
      reason: `not enforced: ${enforced.reason}`,
    };
  }
  return {
    ...common,
    ...did,
    configured,
    effective: enforced.rate,
    mechanism: "htb",
    reason: fault?.message ?? null,
  };
}

/** One that another comes before; if both want the same it is in force as the other is. */
function overruledItem(
  key: string,
  { rule, by, agrees }: Overruled<LimitRule>,
  device: string | undefined,
  readings: LimitReadings,
  why: string,
): Item {
  const { direction, source } = rule;
  if (agrees) return { ...item(key, by.rule, device, undefined, readings, why), source, written: rule.configured };
  const common = { ...identity(key), direction, source, written: rule.configured };
  return { ...common, ...NOTHING, configured: rule.rate, reason: whyOverruled(by), overruledBy: by.object };
}

interface Fault {
  written: string;
  message: string;
}

/** Bad values of one pod by key. A problem names its field as `metadata.annotations["KEY"]`. */
function faultsOf(problems: readonly Problem[], key: string, pod: Pod | undefined): Map<string, Fault> {
  const faults = new Map<string, Fault>();
  for (const { object, path, message, severity } of problems) {
    if (object !== `Pod/${key}` || (severity ?? "error") !== "error") continue;
    const [, map, source] = /^metadata\.(annotations|labels)\["(.+)"\]$/.exec(path ?? "") ?? [];
    if (!source || faults.has(source) || !RULE_KEYS.some(({ key: own }) => own === source)) continue;
    const written = pod?.metadata[map as "annotations" | "labels"][source] ?? "";
    faults.set(source, { written, message });
  }
  return faults;
}

function identity(key: string): { namespace: string; pod: string } {
  const [namespace = "", pod = ""] = key.split("/");
  return { namespace, pod };
}

/** Of a value that cannot be read, as far as its key tells. */
function directionOf(source: string): "ingress" | "egress" | null {
  if (source === "rate") return "egress";
  return /ingress/.test(source) ? "ingress" : /egress/.test(source) ? "egress" : null;
}

const sortKey = (one: Item): string => `${one.namespace}/${one.pod}/${one.direction ?? ""}/${one.source}`;
/** What is in force comes first. */
const order = (one: Item): number => (one.direction === null || one.overruledBy !== undefined ? 1 : 0);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
