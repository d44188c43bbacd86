import type { Direction } from "./directions.ts";

/**
 * How packets are lost. Probabilities are from 0 to 1.
 * - `uniform`: each packet by itself.
 * - `exponential`: a draw of ξ = −ln(1−U)/λ with λ = 5 is above `threshold`/1000, so a packet is lost with
 *   exp(−5 × threshold/1000).
 * - `burst`: Gilbert–Elliott. Before each packet the state changes, good to bad with `p`, bad to good with `r`; then the
 *   packet is lost with the state's own loss.
 */
export type Loss =
  | { model: "uniform"; probability: number }
  | { model: "exponential"; threshold: number }
  | { model: "burst"; p: number; r: number; lossGood: number; lossBad: number };

/** λ of exponential loss, and what its thresholds are parts of. */
export const EXPONENTIAL = { lambda: 5, scale: 1000 } as const;

/** What may be done to a packet. At least one is set. Probabilities are from 0 to 1. */
export interface Effects {
  loss?: Loss | undefined;
  /** Probability that a packet is sent twice. */
  duplicate?: number | undefined;
  /** Probability that one bit of a packet's layer-4 payload is flipped; its checksum stays as it was. */
  corrupt?: number | undefined;
  /** Probability that a packet overtakes those that are delayed. Needs `delay`. */
  reorder?: number | undefined;
  /** ns; each packet waits `base` ± `jitter`, evenly spread. Needs the fq qdisc. */
  delay?: { base: number; jitter: number } | undefined;
  /** bit/s at layer 3: packets leave evenly spaced, by time stamps (EDT). Needs the fq qdisc. */
  pace?: number | undefined;
}
export type Effect = keyof Effects;

/** Which packets a rule is for. All parts must hold; an empty match is every packet. */
export interface Match {
  /** CIDRs of the other end, sorted. Undefined: any. Empty: none (a selector that selects nothing). */
  peers?: readonly string[] | undefined;
  /** Any of these. The port is the service's own: the pod's if it is the server, the peer's if it is the client. */
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

/** What ends an impairment by itself. */
export interface Lease {
  /** Seconds that it lasts after its last renewal by a running agent. */
  seconds: number;
  /** ms since the epoch at which it ends, renewed or not. */
  until?: number | undefined;
}

/** An impairment of one pod in one direction, selectors resolved. Directions are the pod's. */
export interface ImpairRule {
  /** Unique among the rules of one pod and direction: `loss` for the annotation, else `Kind/namespace/name`. */
  id: string;
  direction: Direction;
  /** Where it is written: `loss` (the pod's annotation), `Service/ns/name`, `Impairment/ns/name`. */
  source: string;
  /** As its author wrote it, for people. */
  configured: string;
  effects: Effects;
  match: Match;
  /** Packets that it leaves alone: kubelet's probes (from the node's own addresses), DNS (port 53). */
  exempt: { probes: boolean; dns: boolean };
  /** Same seed and same packets, same fate. Undefined: random. 0 to 2^32 − 1. */
  seed?: number | undefined;
  lease?: Lease | undefined;
}

/** At most so many impairments a pod and direction: a chain has seven places. */
export const MAX_IMPAIRMENTS = 4;

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

/** Ranges of ports that one rule may name. */
export const MAX_RULE_PORTS = 8;
/** The longest that a packet may be held, ns. */
export const MAX_HOLD = 10e9;

/** Does a rule hold packets? */
export const delays = ({ effects }: Pick<ImpairRule, "effects">): boolean =>
  effects.delay !== undefined || effects.pace !== undefined;

/** Why a rule that holds packets does not, or not with all its effects. */
export const NO_FQ = "delay and pace are not enforced: the kernel has no fq qdisc (load module sch_fq)";
