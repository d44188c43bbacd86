import type { Problem } from "./problem.ts";
import type { LabelSelector } from "./selector.ts";

/** Specs of `weir.dev/v1alpha1` objects as they are written. The schemas that read them have checked every text. */

/** Pods of the object's own namespace; one of the three. */
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
  /** Comes before all that others say of the same packets, the pod's own annotations too. */
  override?: boolean | undefined;
  /** Duration: how long it outlives its agent. */
  lease?: string | undefined;
  /** RFC 3339: when it ends. */
  until?: string | undefined;
}

/** A percentage, or one of the other models. */
export type LossSpec =
  | string
  | { exponential: { threshold: number } }
  | { burst: { p: string; r: string; lossGood?: string | undefined; lossBad?: string | undefined } };

/** The other end: one of the three. */
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

/** Why an impairment acts on nothing, though nothing is wrong with it: whom its match means may come. */
export const NOBODY = "not enforced: its match selects nobody";

/** What an agent says of one rule on one pod, as far as it tells whether that is in force. */
export interface RuleReceipt {
  namespace: string;
  pod: string;
  direction: string | null;
  /** `Kind/namespace/name` of its object. */
  source: string;
  /** `expired`: it has ended, as was asked for. */
  state?: string | undefined;
  overruledBy?: string | undefined;
  reason: string | null;
}

/** What to tell the author of Limits and Impairments, by key, from the receipts of all agents: an error where one is not in force. */
export function ruleProblems(keys: readonly string[], receipts: readonly RuleReceipt[]): Problem[] {
  return keys
    .filter((key) => /^(Limit|Impairment)\//.test(key))
    .flatMap((object) => {
      const own = receipts.filter(({ source }) => source === object);
      if (own.length > 0) return problemsOf(object, own);
      const message = "no pod here follows it: none that it chooses is on this node";
      return [{ object, severity: "warning" as const, message }];
    });
}

function problemsOf(object: string, receipts: readonly RuleReceipt[]): Problem[] {
  const byReason = new Map<string, RuleReceipt[]>();
  for (const one of receipts) if (one.reason) byReason.set(one.reason, [...(byReason.get(one.reason) ?? []), one]);
  return [...byReason].map(([reason, [first, ...others]]) => {
    const where = `${first?.namespace}/${first?.pod} ${first?.direction}`;
    const more = others.length > 0 ? ` and ${others.length} more` : "";
    return {
      object,
      severity: isMild(first) ? ("warning" as const) : ("error" as const),
      message: `${where}${more}: ${reason}`,
    };
  });
}

/** Its author may have wanted just that. */
const isMild = (one: RuleReceipt | undefined): boolean =>
  one?.reason === NOBODY || one?.state === "expired" || one?.overruledBy !== undefined;
