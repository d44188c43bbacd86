import type { Problem } from "./objects.ts";
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

/**
 * What to say of Limits and Impairments, by key, from which no pod has a rule: nothing is wrong with them, but their
 * author will want to know. `sources`: where the rules in force are written.
 */
export function idleRules(keys: readonly string[], sources: ReadonlySet<string>): Problem[] {
  return keys
    .filter((key) => /^(Limit|Impairment)\//.test(key) && !sources.has(key))
    .map((object) => ({
      object,
      severity: "warning" as const,
      message: "no pod here follows it: it chooses none, or rules of others come first",
    }));
}
