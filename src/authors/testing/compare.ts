import { isDeepStrictEqual } from "node:util";
import { randomOf } from "../../model/testing/random.ts";
import { Follower } from "../../reconcile/testing/follower.ts";
import { Planner } from "../planner.ts";
import { MAX_CHAIN } from "./plan.ts";
import { NODE, type RandomChange, randomChange } from "./random.ts";

/** Applies all changes to a new planner at once. */
function again(told: ReadonlyMap<string, RandomChange>, before: Planner, now: number): Planner {
  const planner = new Planner({ node: NODE, maxChain: MAX_CHAIN, now });
  for (const [key, one] of before.cluster.lastGood.rows()) planner.cluster.lastGood.set(key, one);
  for (const one of told.values()) one.tell(planner);
  planner.forgetLost();
  planner.settle(now);
  return planner;
}

/** The results of two planners: the first planned change by change, the second from nothing. */
export interface Comparison {
  count: number;
  byChange: unknown;
  fromNothing: unknown;
}

/**
 * Applies random changes to a planner, and compares it every few changes with one that plans from nothing, given the
 * same time and last valid rules. Returns the first difference.
 */
export function firstDifference(seed: number, changes: number, every: number): Comparison | undefined {
  const random = randomOf(seed);
  const planner = new Planner({ node: NODE, maxChain: MAX_CHAIN });
  const follower = new Follower();
  const told = new Map<string, RandomChange>();
  let now = Date.UTC(2026, 0, 1);
  for (let count = 1; count <= changes; count++) {
    now += random(2000);
    const change = randomChange(random, now);
    told.set(change.subject, change);
    change.tell(planner);
    if (random(3) === 0) continue; // several changes in one pass
    planner.settle(now);
    follower.follow(planner.take());
    if (count % every > 1) continue;
    const fresh = again(told, planner, now);
    const once = new Follower();
    once.follow(fresh.take());
    const [byChange, fromNothing] = [stateOf(planner, follower), stateOf(fresh, once)];
    if (!isDeepStrictEqual(byChange, fromNothing)) return { count, byChange, fromNothing };
  }
  return undefined;
}

const stateOf = (planner: Planner, follower: Follower) => ({
  document: follower.sorted(),
  problems: planner
    .problems()
    .map(({ object, path, message, severity }) => `${severity} ${object} ${path}: ${message}`),
  outcomes: planner
    .outcomes()
    .map((one) => JSON.stringify(one))
    .sort(),
  wakeAt: planner.store.wakeAt,
  lastGood: planner.cluster.lastGood.keys(),
});
