import { parseBandwidthQuantity } from "./bandwidth.ts";
import type { Direction } from "./directions.ts";
import { type Effects, EXPONENTIAL, type ImpairRule, type Loss } from "./impair.ts";
import { type ByKey, byPrecedence, firstOfDirection, type RuleKey, readKeys } from "./keyed.ts";
import type { RuleSettings } from "./limits.ts";
import { type ParsedLoss, parseLoss } from "./losses.ts";
import { objectKey } from "./names.ts";
import type { Metadata } from "./objects.ts";
import type { Problem } from "./problem.ts";
import type { ImpairmentSpec, LossSpec } from "./rule-objects.ts";
import { formatRate, type Result } from "./text.ts";
import { formatDuration, formatPercent, parseDuration, parsePercent } from "./units.ts";

type LossKey = RuleKey<ParsedLoss, RuleSettings>;

/** Every key of losses, highest precedence first. */
export const LOSS_KEYS: readonly LossKey[] = [
  { map: "annotations", key: "weir.dev/loss", parse: parseLoss },
  { map: "annotations", key: "loss", setting: "loss", parse: parseLoss },
];

/** An object's losses in force, at most one per direction, with their keys. */
export interface ReducedLosses {
  byKey: ByKey<ParsedLoss>;
  losses: readonly (ParsedLoss & { key: string })[];
  problems: readonly Problem[];
}

/** Reads the losses in an object's annotations, given its last valid ones. */
export function reduceLosses(
  before: ByKey<ParsedLoss>,
  kind: "Pod" | "Service",
  metadata: Metadata & { namespace: string },
  settings: RuleSettings,
): ReducedLosses {
  const object = objectKey(kind, metadata);
  const { byKey, problems } = readKeys(LOSS_KEYS, { object, metadata, before, settings }, staying);
  return { byKey, losses: chosen(byKey), problems };
}

/** Of two keys with the same direction the first in `LOSS_KEYS` counts. */
export function chosen(byKey: ByKey<ParsedLoss>): (ParsedLoss & { key: string })[] {
  return firstOfDirection(byPrecedence(LOSS_KEYS, byKey)).map(({ key, rule }) => ({ ...rule, key }));
}

function staying(kept: readonly ParsedLoss[] | undefined): string {
  return kept ? `the last good value stays: ${kept.map(({ configured }) => configured).join("; ")}` : "it sets no loss";
}

/** The rule of a loss annotation: for all traffic except probes and DNS. */
export function lossRule(loss: ParsedLoss, source: string, settings: RuleSettings): ImpairRule {
  return {
    id: source,
    direction: loss.direction,
    source,
    configured: loss.configured,
    effects: { loss: loss.loss },
    match: {},
    exempt: { probes: true, dns: true },
    lease: { seconds: settings.defaultLease },
  };
}

/** The rules of an Impairment, by direction. @param peers its match's peers as CIDRs */
export function impairmentRules(
  { metadata, spec }: { metadata: { namespace: string; name: string }; spec: ImpairmentSpec },
  peers: readonly string[] | undefined,
  settings: RuleSettings,
): ImpairRule[] {
  const source = objectKey("Impairment", metadata);
  const effects = effectsOf(spec);
  const narrowed = spec.match?.peers !== undefined || spec.match?.ports !== undefined;
  const ports = spec.match?.ports?.map((port) => ({ ...port, side: "either" as const }));
  const directions: readonly Direction[] = spec.direction === "both" ? ["ingress", "egress"] : [spec.direction];
  return directions.map((direction) => ({
    id: source,
    direction,
    source,
    configured: describeEffects(effects),
    effects,
    match: { ...(peers && { peers }), ...(ports && { ports }) },
    exempt: { probes: spec.exempt?.probes ?? !narrowed, dns: spec.exempt?.dns ?? !narrowed },
    ...(spec.seed !== undefined && { seed: spec.seed }),
    lease: {
      seconds: spec.lease === undefined ? settings.defaultLease : value(parseDuration(spec.lease)) / 1e9,
      ...(spec.until !== undefined && { until: Date.parse(spec.until) }),
    },
  }));
}

/** The schema has validated the text, so a failure here is a defect. */
function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`read impairment: ${result.reason}`);
  return result.value;
}

function effectsOf({ loss, duplicate, corrupt, reorder, delay, pace }: ImpairmentSpec): Effects {
  const percent = (text: string | undefined) => (text === undefined ? undefined : value(parsePercent(text)));
  const [paced] = pace === undefined ? [] : value(parseBandwidthQuantity(pace, "egress"));
  const effects: Effects = {
    loss: loss === undefined ? undefined : lossOf(loss),
    duplicate: percent(duplicate),
    corrupt: percent(corrupt),
    reorder: percent(reorder),
    delay: delay && { base: value(parseDuration(delay.latency)), jitter: value(parseDuration(delay.jitter ?? "0s")) },
    pace: paced?.rate,
  };
  return Object.fromEntries(Object.entries(effects).filter(([, one]) => one !== undefined));
}

function lossOf(spec: LossSpec): Loss {
  if (typeof spec === "string") return { model: "uniform", probability: value(parsePercent(spec)) };
  if ("exponential" in spec) return { model: "exponential", threshold: spec.exponential.threshold };
  const { p, r, lossGood = "0%", lossBad = "100%" } = spec.burst;
  const [toBad, toGood, good, bad] = [p, r, lossGood, lossBad].map((text) => value(parsePercent(text))) as [
    number,
    number,
    number,
    number,
  ];
  return { model: "burst", p: toBad, r: toGood, lossGood: good, lossBad: bad };
}

/** Effects as text: `loss 2%, delay 50ms ± 10ms`. */
export function describeEffects({ loss, duplicate, corrupt, reorder, delay, pace }: Effects): string {
  const parts = [
    loss && `loss ${describeLoss(loss)}`,
    duplicate !== undefined && `duplicate ${formatPercent(duplicate)}`,
    corrupt !== undefined && `corrupt ${formatPercent(corrupt)}`,
    delay && `delay ${formatDuration(delay.base)}${delay.jitter ? ` ± ${formatDuration(delay.jitter)}` : ""}`,
    reorder !== undefined && `reorder ${formatPercent(reorder)}`,
    pace !== undefined && `pace ${formatRate(pace)}`,
  ];
  return parts.filter(Boolean).join(", ");
}

function describeLoss(loss: Loss): string {
  if (loss.model === "uniform") return formatPercent(loss.probability);
  if (loss.model === "exponential") return `exponential ${loss.threshold}/${EXPONENTIAL.scale}`;
  const { p, r, lossGood, lossBad } = loss;
  return `burst p ${formatPercent(p)}, r ${formatPercent(r)}, ${formatPercent(lossGood)} and ${formatPercent(lossBad)}`;
}
