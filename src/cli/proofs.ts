import type { Items } from "../api/schemas.ts";
import { lossProbability } from "../model/impair.ts";
import {
  judgeBurstLength,
  judgeBurstLoss,
  judgeDelay,
  judgeRate,
  judgeShare,
  type Measured,
  type Verdict,
} from "../model/proof.ts";

/** What was measured of one rule, or of one effect of it. */
export interface Proof {
  kind: "limit" | "impairment";
  direction: string | null;
  source: string;
  rule: string;
  /** Which effect of an impairment. */
  effect: string | null;
  /** Of the four numbers: shares from 0 to 1, bit/s, packets in a row, seconds. */
  unit: "share" | "bit/s" | "packets" | "s";
  expected: number | null;
  measured: number | null;
  /** Interval of 95 %. */
  low: number | null;
  high: number | null;
  packets: number | null;
  verdict: Verdict;
  reason: string | null;
}

type Receipt = Items["impairments"];

export function limitProof(limit: Items["limits"]): Proof {
  const { direction, source, written, configured, effective, measured, reason } = limit;
  const judged =
    configured === null || effective !== configured
      ? { verdict: "refuted" as const, reason: reason ?? "it is not in force" }
      : judgeRate(measured, configured);
  const nothing = { effect: null, low: null, high: null, packets: null };
  const what = { kind: "limit" as const, direction, source, rule: written, unit: "bit/s" as const };
  return { ...what, expected: configured, measured, ...nothing, ...judged };
}

/** One proof for each effect that can be judged by what happened between two receipts. */
export function impairmentProofs(now: Receipt, before: Receipt | undefined): Proof[] {
  const { direction, source, configured, state, reason, effects } = now;
  const what = { kind: "impairment" as const, direction, source, rule: configured };
  const none = { expected: null, measured: null, low: null, high: null };
  if (state !== "active") {
    const verdict = { verdict: "refuted" as const, reason: reason ?? state };
    return [{ ...what, effect: null, unit: "share", ...none, packets: null, ...verdict }];
  }
  const { packets, ...counts } = difference(now, before);
  const proof = (
    effect: string,
    unit: Proof["unit"],
    measured: Measured | Pick<Proof, "verdict" | "reason">,
  ): Proof => ({
    ...what,
    effect,
    unit,
    ...none,
    packets,
    ...measured,
  });
  const proofs = [...lossProofs({ packets, ...counts }, effects, proof)];
  const kept = packets - counts.lost;
  if (effects.corrupt !== undefined) {
    const chosen = counts.corrupted + counts.spared;
    proofs.push(proof("corrupt", "share", judgeShare(chosen, kept, effects.corrupt, "part")));
  }
  // what found the paced queue full is neither kept nor lost by chance
  const copied = (): Measured => judgeShare(counts.duplicated, kept, effects.duplicate ?? 0, "part");
  if (effects.duplicate !== undefined) {
    proofs.push(proof("duplicate", "share", effects.pace === undefined ? copied() : PACED));
  }
  return [...proofs, ...timeProofs({ packets, ...counts }, now, proof)];
}

type Counts = ReturnType<typeof difference>;
type Make = (effect: string, unit: Proof["unit"], measured: Measured | Pick<Proof, "verdict" | "reason">) => Proof;

const PACED = { verdict: "open" as const, reason: "together with pace it is counted, not judged" };

function lossProofs({ packets, lost, bursts }: Counts, { loss }: Receipt["effects"], proof: Make): Proof[] {
  if (loss === undefined) return [];
  if (loss.model !== "burst") return [proof("loss", "share", judgeShare(lost, packets, lossProbability(loss)))];
  return [
    proof("loss", "share", judgeBurstLoss(lost, packets, loss)),
    proof("burst length", "packets", judgeBurstLength(bursts, lost, loss)),
  ];
}

/** What needs the fq qdisc: a receipt's reason says that there is none. */
function timeProofs(counts: Counts, { effects, reason }: Receipt, proof: Make): Proof[] {
  const { packets, lost, delayed, reordered, waited } = counts;
  const proofs: Proof[] = [];
  const judge = (effect: string, unit: Proof["unit"], measure: () => Measured): void => {
    const verdict = reason !== null ? { verdict: "refuted" as const, reason } : undefined;
    proofs.push(proof(effect, unit, verdict ?? (effects.pace === undefined ? measure() : PACED)));
  };
  const { delay, reorder, pace } = effects;
  if (delay !== undefined) {
    const seconds = { base: delay.base / 1e9, jitter: delay.jitter / 1e9 };
    judge("delay", "s", () => judgeDelay(delayed > 0 ? waited / delayed : null, delayed, seconds));
  }
  if (reorder !== undefined) judge("reorder", "share", () => judgeShare(reordered, packets - lost, reorder, "part"));
  if (pace !== undefined) {
    const held = { verdict: "open" as const, reason: "packets are counted, their rate is not judged" };
    proofs.push(proof("pace", "bit/s", reason === null ? held : { verdict: "refuted", reason }));
  }
  return proofs;
}

const COUNTS = ["packets", "lost", "duplicated", "corrupted", "reordered", "delayed", "bursts", "spared"] as const;

/** What was counted between two receipts; counters that were set anew since count from zero. */
function difference(now: Receipt, before: Receipt | undefined) {
  const since = before && COUNTS.every((name) => before[name] <= now[name]) ? before : undefined;
  const count = (name: (typeof COUNTS)[number]): number => now[name] - (since?.[name] ?? 0);
  const waited = (one: Receipt | undefined): number => (one?.meanDelay ?? 0) * (one?.delayed ?? 0);
  return {
    packets: count("packets"),
    lost: count("lost"),
    duplicated: count("duplicated"),
    corrupted: count("corrupted"),
    reordered: count("reordered"),
    delayed: count("delayed"),
    bursts: count("bursts"),
    spared: count("spared"),
    /** s, all delayed packets together */
    waited: waited(now) - waited(since),
  };
}
