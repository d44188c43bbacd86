import type { Direction } from "./directions.ts";

/**
 * How packets are lost. Probabilities are from 0 to 1.
 * - `uniform`: each packet independently.
 * - `exponential`: a draw of ξ = −ln(1−U)/λ with λ = 5 is above `threshold`/1000, so the probability is exp(−5 ×
 * threshold/1000).
 * - `burst`: Gilbert–Elliott. Before each packet the state changes, good to bad with `p`, bad to good with `r`; then
 * the packet is lost with the probability of the state.
 */
export type Loss =
  | { model: "uniform"; probability: number }
  | { model: "exponential"; threshold: number }
  | { model: "burst"; p: number; r: number; lossGood: number; lossBad: number };

/** λ of exponential loss, and the scale of its thresholds. */
export const EXPONENTIAL = { lambda: 5, scale: 1000 } as const;

/** Effects on packets; at least one is set. Probabilities are from 0 to 1. */
export interface Effects {
  loss?: Loss | undefined;
  /** Probability that a packet is sent twice. */
  duplicate?: number | undefined;
  /** Probability that one bit of a packet's layer-4 payload is flipped; its checksum stays as it was. */
  corrupt?: number | undefined;
  /** Probability that a packet overtakes those that are delayed. Needs `delay`. */
  reorder?: number | undefined;
  /** Each packet is held for `base` ± `jitter`, uniformly distributed, ns. Needs the fq qdisc. */
  delay?: { base: number; jitter: number } | undefined;
  /** Packets are sent evenly spaced at this rate, bit/s at layer 3, by departure time (EDT). Needs the fq qdisc. */
  pace?: number | undefined;
}
export type Effect = keyof Effects;

/** Which packets a rule applies to. All parts must match; an empty match applies to every packet. */
export interface Match {
  /** CIDRs of the peers, sorted. Undefined: any. Empty: none, i.e. a selector without a match. */
  peers?: readonly string[] | undefined;
  /** Any of these. The port is the service's: the pod's if the pod is the server, the peer's if it is the client. */
  ports?: readonly PortMatch[] | undefined;
}

export interface PortMatch {
  protocol: "TCP" | "UDP" | "SCTP" | "ICMP";
  /** Undefined: any port (and for ICMP). */
  port?: number | undefined;
  endPort?: number | undefined;
  /** Whose port: the pod's, the peer's, or either. */
  side: "pod" | "peer" | "either";
}

/** The lease of an impairment, which ends it without an agent. */
export interface Lease {
  /** Length, seconds, from the last renewal by an agent. */
  seconds: number;
  /** ms since the epoch at which it ends even if renewed. */
  until?: number | undefined;
}

/** An impairment of one pod in one direction, selectors resolved. Directions are the pod's. */
export interface ImpairRule {
  /** Unique among rules of one pod and direction: `loss` for the annotation, else `Kind/namespace/name`. */
  id: string;
  direction: Direction;
  /** The source of the rule: `loss` (the pod's annotation), `Service/ns/name`, `Impairment/ns/name`. */
  source: string;
  /** As written, for display. */
  configured: string;
  effects: Effects;
  match: Match;
  /** Packets that are not affected: kubelet's probes (from the node's own addresses), DNS (port 53). */
  exempt: { probes: boolean; dns: boolean };
  /** The same seed and packets give the same result. Undefined: random. 0 to 2^32 − 1. */
  seed?: number | undefined;
  lease?: Lease | undefined;
}

/** The most impairments per pod and direction. A chain also needs places for other functions. */
export const MAX_IMPAIRMENTS = 4;

/** The most networks that the peers of one Impairment may be: an eighth of `weir_impair_peers`. */
export const MAX_PEER_NETWORKS = 32_768;

/** Probability that a packet is lost; with bursts, in the long run. */
export function lossProbability(loss: Loss): number {
  switch (loss.model) {
    case "uniform":
      return loss.probability;
    case "exponential":
      return Math.exp((-EXPONENTIAL.lambda * loss.threshold) / EXPONENTIAL.scale);
    case "burst": {
      const bad = loss.p + loss.r === 0 ? 0 : loss.p / (loss.p + loss.r);
      return (1 - bad) * loss.lossGood + bad * loss.lossBad;
    }
  }
}

/** The most port ranges in one rule. */
export const MAX_RULE_PORTS = 8;
/** The longest time that a packet can be held, ns. */
export const MAX_HOLD = 10e9;

/** Whether a rule holds packets. */
export const delays = ({ effects }: Pick<ImpairRule, "effects">): boolean =>
  effects.delay !== undefined || effects.pace !== undefined;

/** Why a rule that holds packets is not in force, or not with all its effects. */
export const NO_FQ = "delay and pace are not enforced: the kernel has no fq qdisc (load module sch_fq)";
