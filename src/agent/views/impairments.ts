import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import type { Planner } from "../../authors/planner.ts";
import { impairInstance } from "../../functions/impair/impair.ts";
import { type Effects, type ImpairRule, type Lease, lossProbability, type Match, NO_FQ } from "../../model/impair.ts";
import { describeEffects } from "../../model/impairments.ts";
import type { PodPort } from "../../model/node-context.ts";
import type { Overruled } from "../../model/precedence.ts";
import { NOBODY } from "../../model/rule-objects.ts";
import { binomialInterval } from "../../model/statistics.ts";
import { type ProblemsOf, whyNoPort, whyOverruled } from "./pods.ts";

/** Counters of a rule's program. */
export interface ImpairUse {
  packets: number;
  lost: number;
  duplicated: number;
  corrupted: number;
  reordered: number;
  delayed: number;
  bursts: number;
  spared: number;
  /** Mean time that packets were held, s; null before the first. */
  meanDelay: number | null;
}

/** The datapath's readings of an impairment. */
export interface ImpairReadings {
  use(instance: string): ImpairUse;
  /** ms until its lease ends; undefined: it has none. */
  remaining(instance: string): number | undefined;
  /** Why it is not in force. */
  fault(at: PodPort, rule: ImpairRule): string | undefined;
}

type Item = Plain<schema.Impairment>;

/**
 * Receipts of impairments: configured, effective, counted, and when each ends.
 * @param isShown whether a source is shown; without it all are
 */
export function impairmentItems(
  { rules, ports, node }: Pick<Planner, "rules" | "ports" | "node">,
  problemsOf: ProblemsOf,
  readings: ImpairReadings,
  isShown: (source: string) => boolean = () => true,
): Item[] {
  return rules.impairments.keys().flatMap((key) => {
    const { rules: all = [], overruled: lost = [] } = rules.impairments.get(key) ?? {};
    const inForce = all.filter(({ source }) => isShown(source));
    const told = firstMissed(lost).filter(({ rule }) => isShown(rule.source));
    if (inForce.length + told.length === 0) return [];
    const at = ports.get(key);
    const why = whyNoPort(problemsOf, key);
    const shown = (rule: ImpairRule): Item => item(key, rule, at, node.fq === true, readings, why);
    return [
      ...inForce.map((rule) => withLoss(shown(rule), lost)),
      ...told.map((one) => overruledItem(key, one, shown)),
    ];
  });
}

/** One of each rule that is overruled as a whole, for its receipt: the first effect that is missed, else the first. */
function firstMissed(all: readonly Overruled<ImpairRule>[]): Overruled<ImpairRule>[] {
  const byRule = new Map<ImpairRule, Overruled<ImpairRule>>();
  for (const one of all) {
    const known = byRule.get(one.rule);
    if (!known || (known.agrees && !one.agrees)) byRule.set(one.rule, one);
  }
  return [...byRule.values()].filter(({ whole }) => whole);
}

/** Adds to the receipt of a rule in force which of its effects are overruled. */
function withLoss(one: Item, lost: readonly Overruled<ImpairRule>[]): Item {
  const first = lost.find(
    ({ rule, agrees }) => !agrees && rule.source === one.source && rule.direction === one.direction,
  );
  if (!first || one.reason !== null) return one;
  return { ...one, reason: `${first.what}: ${whyOver(first)}`, overruledBy: first.by.object };
}

/** The receipt of an overruled rule. If the winner has the same effect, it is shown as in force. */
function overruledItem(key: string, one: Overruled<ImpairRule>, shown: (rule: ImpairRule) => Item): Item {
  const { source, configured, effects, match, direction } = one.rule;
  if (one.agrees) return { ...shown(one.by.rule), source, configured };
  const common = { ...identity(key), direction, source, configured, effects, match: describeMatch(match) };
  const idle = { effective: null, state: "not enforced", remaining: null, reason: whyOver(one) } as const;
  return { ...common, ...idle, ...NO_USE, ...rates(NO_USE, effects), overruledBy: one.by.object };
}

const whyOver = ({ by }: Overruled<ImpairRule>): string => whyOverruled(by, by.rule.lease?.until);

/** Counters of a rule that has judged no packet. */
export const NO_USE: ImpairUse = {
  ...{ packets: 0, lost: 0, duplicated: 0, corrupted: 0, reordered: 0, delayed: 0, bursts: 0, spared: 0 },
  meanDelay: null,
};

function item(
  key: string,
  rule: ImpairRule,
  at: PodPort | undefined,
  fq: boolean,
  readings: ImpairReadings,
  noPort: string,
): Item {
  const { direction, source, configured, effects, match } = rule;
  const common = { ...identity(key), direction, source, configured, effects, match: describeMatch(match) };
  if (at === undefined || match.peers?.length === 0) {
    const reason = at === undefined ? `not enforced: ${noPort}` : NOBODY;
    const idle = { effective: null, state: "not enforced", remaining: null, reason } as const;
    return { ...common, ...idle, ...NO_USE, ...rates(NO_USE, effects) };
  }
  const instance = impairInstance(at.id, direction, rule.id);
  const use = readings.use(instance);
  return { ...common, ...standing(rule, { instance, at, fq }, readings), ...use, ...rates(use, effects) };
}

function identity(key: string): { namespace: string; pod: string } {
  const [namespace = "", pod = ""] = key.split("/");
  return { namespace, pod };
}

/** Whether a rule is in force, and the reason if not. */
function standing(
  rule: ImpairRule,
  { instance, at, fq }: { instance: string; at: PodPort; fq: boolean },
  readings: ImpairReadings,
): Pick<Item, "effective" | "state" | "remaining" | "reason"> {
  const { effects, lease } = rule;
  const left = readings.remaining(instance);
  const remaining = left === undefined ? null : Math.round(left / 100) / 10;
  const fault = readings.fault(at, rule);
  if (fault !== undefined) {
    return { effective: null, state: "not enforced", remaining, reason: `not enforced: ${fault}` };
  }
  if (lease && !left) return { effective: null, state: "expired", remaining, reason: whyEnded(lease) };
  const held = fq ? effects : withoutTime(effects);
  const reason = held === effects ? null : NO_FQ;
  if (Object.keys(held).length === 0) return { effective: null, state: "not enforced", remaining, reason };
  return { effective: describeEffects(held), state: "active", remaining, reason };
}

const whyEnded = ({ until }: Lease): string =>
  until !== undefined && until <= Date.now()
    ? `it is over since ${new Date(until).toISOString()}`
    : "its lease is over";

/** The effects that remain on a kernel that cannot hold packets. */
function withoutTime(effects: Effects): Effects {
  if (effects.delay === undefined && effects.pace === undefined) return effects;
  const { delay: _, pace: __, reorder: ___, ...rest } = effects;
  return rest;
}

function rates(use: ImpairUse, { loss }: Effects) {
  const expected = loss ? lossProbability(loss) : null;
  if (use.packets === 0) return { expectedLoss: expected, measuredLoss: null, lossLow: null, lossHigh: null };
  const [lossLow, lossHigh] = binomialInterval(use.lost, use.packets);
  return { expectedLoss: expected, measuredLoss: use.lost / use.packets, lossLow, lossHigh };
}

function describeMatch({ peers, ports }: Match): string | null {
  const parts = [
    peers && `peers ${peers.slice(0, 3).join(", ")}${peers.length > 3 ? ` and ${peers.length - 3} more` : ""}`,
    ports &&
      `ports ${ports.map(({ protocol, port, endPort }) => `${protocol}${port === undefined ? "" : `/${port}`}${endPort === undefined ? "" : `-${endPort}`}`).join(", ")}`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join("; ") : null;
}
