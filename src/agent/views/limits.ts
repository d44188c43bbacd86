import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import type { Planner } from "../../authors/planner.ts";
import type { Choice } from "../../authors/rules.ts";
import { type LimitCounts, NOT_COUNTED, NOTHING_YET } from "../../model/limit-counts.ts";
import { type LimitRule, RULE_KEYS } from "../../model/limits.ts";
import type { PodPort } from "../../model/node-context.ts";
import type { Pod } from "../../model/objects.ts";
import type { Overruled } from "../../model/precedence.ts";
import type { Problem } from "../../model/problem.ts";
import { type ProblemsOf, whyNoPort, whyOverruled } from "./pods.ts";

/** The datapath's readings of a limit. */
export interface LimitReadings {
  /** bit/s in force, or why it is not. */
  enforced(at: PodPort, rule: LimitRule): { rate: number } | { reason: string };
  /** bit/s at layer 3 over the last full busy window, and its age in s; undefined if there was none. */
  measured(at: PodPort, rule: LimitRule): { rate: number; age: number } | undefined;
  /** Counters; undefined before the first packet or without a datapath. */
  counted(at: PodPort, rule: LimitRule): LimitCounts | undefined;
}

type Item = Plain<schema.Limit>;

/**
 * Receipts of limits: configured, effective, measured, and why they differ.
 * @param isShown whether a source is shown; without it all are
 */
export function limitItems(
  planner: Pick<Planner, "rules" | "ports" | "cluster">,
  problemsOf: ProblemsOf,
  readings: LimitReadings,
  isShown?: (source: string) => boolean,
): Item[] {
  const { limits } = planner.rules;
  const keys = isShown ? limits.keys() : new Set([...limits.keys(), ...planner.cluster.localPods.keys()]);
  const items = [...keys].flatMap((key) => {
    const { rules = [], overruled = [] } = limits.get(key) ?? {};
    if (!isShown) return itemsOf(key, { rules, overruled }, planner, problemsOf, readings);
    const shown = {
      rules: rules.filter(({ source }) => isShown(source)),
      overruled: overruled.filter(({ rule }) => isShown(rule.source)),
    };
    const isEmpty = shown.rules.length + shown.overruled.length === 0;
    const all = isEmpty ? [] : itemsOf(key, shown, planner, problemsOf, readings);
    return all.filter(({ source }) => isShown(source));
  });
  return items.toSorted((a, b) => order(a) - order(b) || compare(sortKey(a), sortKey(b)));
}

function itemsOf(
  key: string,
  { rules, overruled }: Pick<Choice<LimitRule>, "rules" | "overruled">,
  { ports, cluster }: Pick<Planner, "ports" | "cluster">,
  problemsOf: ProblemsOf,
  readings: LimitReadings,
): Item[] {
  const faults = faultsOf(problemsOf(`Pod/${key}`), cluster.pods.get(key));
  if (rules.length + overruled.length + faults.size === 0) return [];
  const at = ports.get(key);
  const why = whyNoPort(problemsOf, key);
  const sources = new Set(rules.map(({ source }) => source));
  const refused = [...faults].filter(([source]) => cluster.pods.has(key) && !sources.has(source));
  return [
    ...rules.map((rule) => item(key, rule, at, faults.get(rule.source), readings, why)),
    ...overruled.map((one) => overruledItem(key, one, at, readings, why)),
    ...refused.map(([source, fault]) => refusedItem(key, source, fault)),
  ];
}

function refusedItem(key: string, source: string, { written, message }: Fault): Item {
  return { ...identity(key), direction: directionOf(source), source, written, ...NOTHING, reason: message };
}

const NOTHING = {
  ...{ configured: null, effective: null, measured: null, measuredAge: null, mechanism: null },
  ...NOT_COUNTED,
} as const;

function item(
  key: string,
  rule: LimitRule,
  at: PodPort | undefined,
  fault: Fault | undefined,
  readings: LimitReadings,
  why: string,
): Item {
  const { direction, source } = rule;
  const common = { ...identity(key), direction, source, written: fault?.written ?? rule.configured };
  const configured = fault ? null : rule.rate;
  if (at === undefined) {
    return {
      ...common,
      ...NOTHING,
      configured,
      reason: fault?.message ?? `not enforced: ${why}`,
    };
  }
  const enforced = readings.enforced(at, rule);
  const { rate: measured = null, age: measuredAge = null } = readings.measured(at, rule) ?? {};
  const none = "reason" in enforced ? NOT_COUNTED : NOTHING_YET;
  const did = { measured, measuredAge, ...(readings.counted(at, rule) ?? none) };
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

/** The receipt of an overruled limit. If the winner has the same rate, it is shown as in force. */
function overruledItem(
  key: string,
  { rule, by, agrees }: Overruled<LimitRule>,
  at: PodPort | undefined,
  readings: LimitReadings,
  why: string,
): Item {
  const { direction, source } = rule;
  if (agrees) return { ...item(key, by.rule, at, undefined, readings, why), source, written: rule.configured };
  const common = { ...identity(key), direction, source, written: rule.configured };
  return { ...common, ...NOTHING, configured: rule.rate, reason: whyOverruled(by), overruledBy: by.object };
}

interface Fault {
  written: string;
  message: string;
}

/** Invalid values of a pod's limits by key. */
function faultsOf(problems: readonly Problem[], pod: Pod | undefined): Map<string, Fault> {
  const faults = new Map<string, Fault>();
  for (const { invalidKey, message } of problems) {
    if (!invalidKey || faults.has(invalidKey.key) || !RULE_KEYS.some(({ key }) => key === invalidKey.key)) continue;
    const written = pod?.metadata[invalidKey.map][invalidKey.key] ?? "";
    faults.set(invalidKey.key, { written, message });
  }
  return faults;
}

function identity(key: string): { namespace: string; pod: string } {
  const [namespace = "", pod = ""] = key.split("/");
  return { namespace, pod };
}

/** The direction of an invalid value, if its key implies one. */
function directionOf(source: string): "ingress" | "egress" | null {
  if (source === "rate") return "egress";
  return /ingress/.test(source) ? "ingress" : /egress/.test(source) ? "egress" : null;
}

const sortKey = (one: Item): string => `${one.namespace}/${one.pod}/${one.direction ?? ""}/${one.source}`;
/** Limits in force first. */
const order = (one: Item): number => (one.direction === null || one.overruledBy !== undefined ? 1 : 0);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
