import { type ParsedRule, parseBandwidth, parseBandwidthQuantity, parseRateLabel, type RateUnit } from "./bandwidth.ts";
import type { Direction } from "./directions.ts";
import { type ByKey, byPrecedence, type RuleKey, readKeys } from "./keyed.ts";
import { fieldPath, objectKey } from "./names.ts";
import type { Metadata } from "./objects.ts";
import type { Problem } from "./problem.ts";
import { formatRate, good, quote, type Result } from "./text.ts";

/** A pod's bandwidth limit in one direction, as written. Directions are the pod's. */
export interface LimitRule {
  direction: Direction;
  /** bit/s at layer 3. */
  rate: number;
  /** The key: `bandwidth`, `rate`, `kubernetes.io/ingress-bandwidth`, … */
  source: string;
  /** The value as written. */
  configured: string;
}

/**
 * The keys that are read. Weir's own (`weir.dev/…`) always are; others are used by other tools too, so each can be
 * disabled.
 */
export interface RuleSettings {
  /** Annotation `bandwidth` (podmgr). */
  bandwidth: boolean;
  /** Label `rate` (bpf-ratelimit). */
  rate: boolean;
  rateUnit: RateUnit;
  /** Annotations `kubernetes.io/{ingress,egress}-bandwidth`. */
  kubernetes: boolean;
  /** Annotations `qos.projectcalico.org/{ingress,egress}Bandwidth`. */
  calico: boolean;
  /** Annotation `loss` (podmgr). */
  loss: boolean;
  /** Annotation `ebpf-limit` (podmgr). */
  ebpfLimit: boolean;
  /** Default lease of impairments, seconds. */
  defaultLease: number;
}

export const DEFAULT_RULE_SETTINGS: RuleSettings = {
  bandwidth: true,
  rate: true,
  rateUnit: "megabits",
  kubernetes: true,
  calico: true,
  loss: true,
  ebpfLimit: true,
  defaultLease: 60,
};

type LimitKey = RuleKey<LimitRule, RuleSettings>;

/** Adds the key to parsed rules. */
const from =
  (key: string, parse: (value: string, settings: RuleSettings) => Result<ParsedRule[]>): LimitKey["parse"] =>
  (value, settings) => {
    const parsed = parse(value, settings);
    return parsed.ok ? good(parsed.value.map((one) => ({ ...one, source: key }))) : parsed;
  };

const key = (
  map: LimitKey["map"],
  name: string,
  parse: (value: string, settings: RuleSettings) => Result<ParsedRule[]>,
  setting?: LimitKey["setting"],
): LimitKey => ({ map, key: name, ...(setting && { setting }), parse: from(name, parse) });

const quantity = (name: string, direction: Direction, setting?: LimitKey["setting"]): LimitKey =>
  key("annotations", name, (value) => parseBandwidthQuantity(value, direction), setting);

/** All keys in order of precedence: of two with the same direction, the earlier wins. */
export const RULE_KEYS: readonly LimitKey[] = [
  quantity("weir.dev/ingress-bandwidth", "ingress"),
  quantity("weir.dev/egress-bandwidth", "egress"),
  key("annotations", "weir.dev/bandwidth", parseBandwidth),
  key("annotations", "bandwidth", parseBandwidth, "bandwidth"),
  quantity("qos.projectcalico.org/ingressBandwidth", "ingress", "calico"),
  quantity("qos.projectcalico.org/egressBandwidth", "egress", "calico"),
  quantity("kubernetes.io/ingress-bandwidth", "ingress", "kubernetes"),
  quantity("kubernetes.io/egress-bandwidth", "egress", "kubernetes"),
  key("labels", "rate", (value, { rateUnit }) => parseRateLabel(value, rateUnit), "rate"),
];

/** An object's last valid rules by key, which stay in force if a value becomes invalid. Plain data. */
export interface PodRules {
  uid?: string | undefined;
  byKey: ByKey<LimitRule>;
}

/** `rules`: the new last valid rules; `limits`: those in force, at most one per direction, ingress first. */
export interface ReducedRules {
  rules: PodRules;
  limits: readonly LimitRule[];
  problems: readonly Problem[];
}

/**
 * Reads a pod's rules, given its last valid ones. Never throws. Removing a key removes its rule; an invalid value is a
 * problem, and the key's last valid rule stays in force. A pod of the same name with another uid has no last valid
 * rules.
 */
export function reduceRules(
  previous: PodRules | undefined,
  pod: Metadata & { namespace: string },
  settings: RuleSettings = DEFAULT_RULE_SETTINGS,
  kind: "Pod" | "Service" = "Pod",
): ReducedRules {
  const object = objectKey(kind, pod);
  const before = previous && previous.uid === pod.uid ? previous.byKey : {};
  const { byKey, problems } = readKeys(RULE_KEYS, { object, metadata: pod, before, settings }, staying);
  const { limits, conflicts } = choose(byKey);
  return {
    rules: { uid: pod.uid, byKey },
    limits,
    problems: [...problems, ...conflicts.map((c) => ({ object, ...c, severity: "warning" as const }))],
  };
}

/** The limits in force from stored last valid rules: at most one per direction, ingress first. */
export function limitsOf(rules: PodRules): readonly LimitRule[] {
  return choose(rules.byKey).limits;
}

function staying(kept: readonly LimitRule[] | undefined): string {
  if (!kept) return "it sets no limit";
  return `the last good value stays: ${kept.map((rule) => `${formatRate(rule.rate)} ${rule.direction}`).join(", ")}`;
}

function choose(byKey: PodRules["byKey"]): { limits: LimitRule[]; conflicts: { path: string; message: string }[] } {
  const rules = byPrecedence(RULE_KEYS, byKey);
  const limits: LimitRule[] = [];
  const conflicts: { path: string; message: string }[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const [winner, ...others] = rules.filter(({ rule }) => rule.direction === direction);
    if (!winner) continue;
    limits.push(winner.rule);
    for (const { map, rule } of others) {
      if (rule.rate === winner.rule.rate) continue;
      conflicts.push({
        path: fieldPath(map, rule.source),
        message: `says ${formatRate(rule.rate)} ${direction}, but ${quote(winner.rule.source)} says ${formatRate(winner.rule.rate)} and comes first; remove one of them`,
      });
    }
  }
  return { limits, conflicts };
}
