import type { Problem } from "./problem.ts";
import type { LabelSelector } from "./selector.ts";

/** Specs of `weir.dev/v1alpha1` objects as written. Their schemas have validated all texts. */

/** Selects pods of the object's namespace, in one of three ways. */
export interface PodChoice {
  /** A single pod by name. */
  pod?: string | undefined;
  selector?: LabelSelector | undefined;
  /** The pods that a Service selects. */
  service?: string | undefined;
}

/** Quantities in bit/s. */
export interface LimitSpec extends PodChoice {
  ingress?: string | undefined;
  egress?: string | undefined;
}

export interface ImpairmentSpec extends PodChoice {
  direction: "ingress" | "egress" | "both";
  loss?: LossSpec | undefined;
  /** Percentages. */
  duplicate?: string | undefined;
  corrupt?: string | undefined;
  reorder?: string | undefined;
  /** Durations. */
  delay?: { latency: string; jitter?: string | undefined } | undefined;
  /** Quantity in bit/s. */
  pace?: string | undefined;
  seed?: number | undefined;
  match?: { peers?: readonly PeerSpec[] | undefined; ports?: readonly PortSpec[] | undefined } | undefined;
  exempt?: { probes?: boolean | undefined; dns?: boolean | undefined } | undefined;
  /** Takes precedence over all other rules for the same packets, including the pod's own annotations. */
  override?: boolean | undefined;
  /** Duration for which it outlives its agent. */
  lease?: string | undefined;
  /** Time at which it ends, RFC 3339. */
  until?: string | undefined;
}

/** A percentage, or one of the other models. */
export type LossSpec =
  | string
  | { exponential: { threshold: number } }
  | { burst: { p: string; r: string; lossGood?: string | undefined; lossBad?: string | undefined } };

/** The other end, in one of three ways. */
export interface PeerSpec {
  cidr?: string | undefined;
  except?: readonly string[] | undefined;
  podSelector?: LabelSelector | undefined;
  namespaceSelector?: LabelSelector | undefined;
  service?: { name: string; namespace?: string | undefined } | undefined;
}

export interface PortSpec {
  protocol: "TCP" | "UDP" | "SCTP" | "ICMP";
  port?: number | undefined;
  endPort?: number | undefined;
}

/** Why a valid impairment has no effect: no peer matches at the moment. */
export const NOBODY = "not enforced: its match selects nobody";

/** An agent's receipt of one rule on one pod, with the fields that determine whether it is in force. */
export interface RuleReceipt {
  namespace: string;
  pod: string;
  direction: string | null;
  /** `Kind/namespace/name` of its object. */
  source: string;
  /** `expired`: it has ended as intended. */
  state?: string | undefined;
  overruledBy?: string | undefined;
  reason: string | null;
}

/**
 * Problems for authors of Limits and Impairments, by key, from all agents' receipts: an error if a rule is not in
 * force.
 */
export function ruleProblems(keys: readonly string[], receipts: readonly RuleReceipt[]): Problem[] {
  const bySource = Map.groupBy(receipts, ({ source }) => source);
  return keys
    .filter((key) => /^(Limit|Impairment)\//.test(key))
    .flatMap((object) => {
      const own = bySource.get(object);
      if (own) return problemsOf(object, own);
      const message = "no pod here follows it: none that it chooses is on this node";
      return [{ object, severity: "warning" as const, message }];
    });
}

function problemsOf(object: string, receipts: readonly RuleReceipt[]): Problem[] {
  const told = receipts.filter(({ reason }) => reason);
  return [...Map.groupBy(told, ({ reason }) => reason)].map(([reason, [first, ...others]]) => {
    const where = `${first?.namespace}/${first?.pod} ${first?.direction}`;
    const more = others.length > 0 ? ` and ${others.length} more` : "";
    return {
      object,
      severity: isMild(first) ? ("warning" as const) : ("error" as const),
      message: `${where}${more}: ${reason}`,
    };
  });
}

/** Whether the state may be intended by the author. */
const isMild = (one: RuleReceipt | undefined): boolean =>
  one?.reason === NOBODY || one?.state === "expired" || one?.overruledBy !== undefined;
