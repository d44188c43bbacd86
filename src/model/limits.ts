import { fieldPath, objectKey } from "./names.ts";
import type { Metadata, Problem } from "./objects.ts";
import { type ParsedRule, parseBandwidth, parseBandwidthQuantity, parseRateLabel, type RateUnit } from "./rules.ts";
import { formatRate, quote, type Result } from "./text.ts";

/** Seen from the pod: ingress is what it receives, egress what it sends. */
export type Direction = "ingress" | "egress";

/** A bandwidth limit of one pod in one direction, as its author wrote it. Directions are the pod's. */
export interface LimitRule {
  direction: Direction;
  /** bit/s at layer 3. */
  rate: number;
  /** Which key it came from: `bandwidth`, `rate`, `kubernetes.io/ingress-bandwidth`, … */
  source: string;
  /** The value as written. */
  configured: string;
}

/** Which keys are read. Weir's own (`weir.dev/…`) always are; other tools use the rest too, so each can be off. */
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
}

export const DEFAULT_RULE_SETTINGS: RuleSettings = {
  bandwidth: true,
  rate: true,
  rateUnit: "megabits",
  kubernetes: true,
  calico: true,
};

interface RuleKey {
  map: "annotations" | "labels";
  key: string;
  setting?: "bandwidth" | "rate" | "kubernetes" | "calico";
  parse(value: string, settings: RuleSettings): Result<ParsedRule[]>;
}

const quantity = (key: string, direction: Direction, setting?: RuleKey["setting"]): RuleKey => ({
  map: "annotations",
  key,
  ...(setting && { setting }),
  parse: (value) => parseBandwidthQuantity(value, direction),
});

/** Every key, highest precedence first: of two that speak of one direction, the earlier wins. */
export const RULE_KEYS: readonly RuleKey[] = [
  quantity("weir.dev/ingress-bandwidth", "ingress"),
  quantity("weir.dev/egress-bandwidth", "egress"),
  { map: "annotations", key: "weir.dev/bandwidth", parse: parseBandwidth },
  { map: "annotations", key: "bandwidth", setting: "bandwidth", parse: parseBandwidth },
  quantity("qos.projectcalico.org/ingressBandwidth", "ingress", "calico"),
  quantity("qos.projectcalico.org/egressBandwidth", "egress", "calico"),
  quantity("kubernetes.io/ingress-bandwidth", "ingress", "kubernetes"),
  quantity("kubernetes.io/egress-bandwidth", "egress", "kubernetes"),
  { map: "labels", key: "rate", setting: "rate", parse: (value, s) => parseRateLabel(value, s.rateUnit) },
];

/** The last good rules of one pod by key: what stays when a key's value turns bad. Plain data, can be stored. */
export interface PodRules {
  uid?: string | undefined;
  byKey: Readonly<Record<string, readonly LimitRule[]>>;
}

/** `rules` is the next state, `limits` what is in force (at most one a direction, ingress first). */
export interface ReducedRules {
  rules: PodRules;
  limits: readonly LimitRule[];
  problems: readonly Problem[];
}

/**
 * Reads a pod's rules, given its last good ones. Never throws.
 * A key that is gone takes its rule along; a bad value leaves the key's last good rule in force and is a problem.
 * A pod of the same name with another uid starts afresh.
 */
export function reduceRules(
  previous: PodRules | undefined,
  pod: Metadata & { namespace: string },
  settings: RuleSettings = DEFAULT_RULE_SETTINGS,
): ReducedRules {
  const object = objectKey("Pod", pod);
  const before = previous && previous.uid === pod.uid ? previous.byKey : {};
  const byKey: Record<string, readonly LimitRule[]> = {};
  const problems: Problem[] = [];
  for (const rule of RULE_KEYS) {
    if (rule.setting && !settings[rule.setting]) continue;
    const written = pod[rule.map];
    if (!Object.hasOwn(written, rule.key)) continue;
    const parsed = rule.parse(written[rule.key] as string, settings);
    if (parsed.ok) {
      byKey[rule.key] = parsed.value.map((one) => ({ ...one, source: rule.key }));
      continue;
    }
    const kept = Object.hasOwn(before, rule.key) ? before[rule.key] : undefined;
    if (kept) byKey[rule.key] = kept;
    problems.push({ object, path: fieldPath(rule.map, rule.key), message: `${parsed.reason}; ${staying(kept)}` });
  }
  const { limits, conflicts } = choose(byKey);
  return {
    rules: { uid: pod.uid, byKey },
    limits,
    problems: [...problems, ...conflicts.map((c) => ({ object, ...c, severity: "warning" as const }))],
  };
}

/** The limits in force of stored last good rules: at most one a direction, ingress first. */
export function limitsOf(rules: PodRules): readonly LimitRule[] {
  return choose(rules.byKey).limits;
}

function staying(kept: readonly LimitRule[] | undefined): string {
  if (!kept) return "it sets no limit";
  return `the last good value stays: ${kept.map((rule) => `${formatRate(rule.rate)} ${rule.direction}`).join(", ")}`;
}

function choose(byKey: PodRules["byKey"]): { limits: LimitRule[]; conflicts: { path: string; message: string }[] } {
  const limits: LimitRule[] = [];
  const conflicts: { path: string; message: string }[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    const said = RULE_KEYS.flatMap(({ key, map }) =>
      (byKey[key] ?? []).filter((rule) => rule.direction === direction).map((rule) => ({ rule, map })),
    );
    const [winner, ...others] = said;
    if (!winner) continue;
    limits.push(winner.rule);
    for (const other of others) {
      if (other.rule.rate === winner.rule.rate) continue;
      conflicts.push({
        path: fieldPath(other.map, other.rule.source),
        message: `says ${formatRate(other.rule.rate)} ${direction}, but ${quote(winner.rule.source)} says ${formatRate(winner.rule.rate)} and comes first; remove one of them`,
      });
    }
  }
  return { limits, conflicts };
}
