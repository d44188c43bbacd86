import type { Items } from "../api/schemas.ts";
import { lossProbability } from "../model/impair.ts";
import {
  judgeBurstLength,
  judgeBurstLoss,
  judgeDelay,
  judgeProgram,
  judgeRate,
  judgeShare,
  type Measured,
  type Passed,
  type Verdict,
} from "../model/proof.ts";

/** The measurement of one rule, or of one of its effects. */
export interface Proof {
  kind: "limit" | "impairment" | "program";
  direction: string | null;
  source: string;
  rule: string;
  /** The effect of an impairment. */
  effect: string | null;
  /** Unit of the four numbers: shares from 0 to 1, bit/s, consecutive packets, seconds. */
  unit: "share" | "bit/s" | "packets" | "s";
  expected: number | null;
  measured: number | null;
  /** Interval of 95 %. */
  low: number | null;
  high: number | null;
  packets: number | null;
  /** Packets that a limit dropped at arrival. */
  dropped?: number;
  /** Packets that a limit marked with congestion experienced. */
  marked?: number;
  verdict: Verdict;
  reason: string | null;
}

type Receipt = Items["impairments"];

const NOTHING = { expected: null, measured: null, low: null, high: null } as const;

/** @param rates of the observed busy seconds, bit/s @param before the receipt at the beginning */
export function limitProof(
  limit: Items["limits"],
  rates: readonly number[],
  before: Items["limits"] | undefined,
): Proof {
  const { direction, source, written, configured, effective, reason } = limit;
  const passed = passedSince(limit, before);
  const judged =
    configured === null || effective !== configured
      ? { ...NOTHING, expected: configured, verdict: "refuted" as const, reason: reason ?? "it is not in force" }
      : judgeRate(rates, configured, passed);
  const what = { kind: "limit" as const, direction, source, rule: written, unit: "bit/s" as const };
  if (!passed) return { ...what, effect: null, packets: null, ...judged };
  const { sent, dropped, marked } = passed;
  const packets = sent.packets + dropped.packets;
  return { ...what, effect: null, packets, dropped: dropped.packets, marked, ...judged };
}

/** A limit's counters since a receipt; counters that were reset meanwhile count from zero. Undefined if it counts nothing. */
function passedSince(
  now: Items["limits"],
  before: Items["limits"] | undefined,
): (Passed & { marked: number }) | undefined {
  const { sent, dropped, marked } = now;
  if (sent === null || dropped === null || marked === null) return undefined;
  const goesOn = (before?.received?.bytes ?? 0) <= (now.received?.bytes ?? 0);
  const since = goesOn ? before : undefined;
  const amount = (name: "sent" | "dropped") => ({
    packets: (now[name]?.packets ?? 0) - (since?.[name]?.packets ?? 0),
    bytes: (now[name]?.bytes ?? 0) - (since?.[name]?.bytes ?? 0),
  });
  return { sent: amount("sent"), dropped: amount("dropped"), marked: marked - (since?.marked ?? 0) };
}

/** Verifies that a user's program ran, and with which results. A new build counts from zero. */
export function programProof(now: Items["programs"], before: Items["programs"] | undefined): Proof {
  const { direction, source, configured, state, reason } = now;
  const what = {
    kind: "program" as const,
    direction,
    source,
    rule: configured,
    effect: "dropped",
    unit: "share" as const,
  };
  if (state !== "active") {
    return { ...what, ...NOTHING, packets: null, verdict: "refuted", reason: reason ?? state };
  }
  const since = before && before.build === now.build && before.packets <= now.packets ? before : undefined;
  const packets = now.packets - (since?.packets ?? 0);
  return { ...what, expected: null, packets, ...judgeProgram(now.dropped - (since?.dropped ?? 0), packets) };
}

/** One proof for each effect that the counters of two receipts can verify. */
export function impairmentProofs(now: Receipt, before: Receipt | undefined): Proof[] {
  const { direction, source, configured, state, reason, effects } = now;
  const what = { kind: "impairment" as const, direction, source, rule: configured };
  if (state !== "active") {
    const verdict = { verdict: "refuted" as const, reason: reason ?? state };
    return [{ ...what, effect: null, unit: "share", ...NOTHING, packets: null, ...verdict }];
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
    ...NOTHING,
    packets,
    ...measured,
  });
  const proofs = [...lossProofs({ packets, ...counts }, effects, proof)];
  const kept = packets - counts.lost;
  if (effects.corrupt !== undefined) {
    const chosen = counts.corrupted + counts.spared;
    proofs.push(proof("corrupt", "share", judgeShare(chosen, kept, effects.corrupt, "part")));
  }
  // packets dropped by a full pacing queue are neither kept nor randomly lost
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

/** Proofs of the effects that need the fq qdisc, refuted if the receipt's reason says that it is missing. */
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

/** Counters between two receipts; those that were reset meanwhile count from zero. */
function difference(now: Receipt, before: Receipt | undefined) {
  const since = before && COUNTS.every((name) => before[name] <= now[name]) ? before : undefined;
  const counts = COUNTS.map((name) => [name, now[name] - (since?.[name] ?? 0)] as const);
  const waited = (one: Receipt | undefined): number => (one?.meanDelay ?? 0) * (one?.delayed ?? 0);
  return {
    ...(Object.fromEntries(counts) as Record<(typeof COUNTS)[number], number>),
    /** Sum over all delayed packets, s. */
    waited: waited(now) - waited(since),
  };
}
