import { isDeepStrictEqual } from "node:util";
import { randomOf } from "../../model/testing/random.ts";
import { Follower } from "../../reconcile/testing/follower.ts";
import type { Readable } from "../../store/collection.ts";
import { Planner } from "../planner.ts";
import { type RandomChange, type RandomPass, subjectOf, tell } from "./change.ts";
import { MAX_CHAIN } from "./plan.ts";
import { OWN_NODE, SETTINGS } from "./values.ts";

/** The results of two planners: the first planned change by change, the second from nothing. */
export interface Comparison {
  byChange: unknown;
  fromNothing: unknown;
}

/** A planner that is given changes pass by pass, and what it needs to be compared with one that plans from nothing. */
export class Subject {
  planner: Planner;
  #follower = new Follower();
  #settings = SETTINGS[0];
  readonly #told = new Map<string, RandomChange>();

  constructor() {
    this.planner = new Planner({ node: OWN_NODE, settings: this.#settings, maxChain: MAX_CHAIN });
  }

  /** @throws Error if the delta does not match the document's change */
  pass({ now, changes }: RandomPass): void {
    for (const change of changes) {
      if (change.of === "restart" || change.of === "last good") {
        this.#restart(change, now);
      } else if (change.of === "dry run") {
        this.#preview(change.value, now);
      } else {
        this.#told.set(subjectOf(change), change);
        tell(this.planner, change);
      }
    }
    this.planner.settle(now);
    this.#follower.follow(this.planner.take());
  }

  /** Compares with a planner that gets everything at once, in another order, with the same last valid rules. */
  compare(now: number, order: number): Comparison | undefined {
    const fresh = this.#again(now, shuffled([...this.#told.values()], order));
    fresh.settle(now);
    const once = new Follower();
    once.follow(fresh.take());
    const [byChange, fromNothing] = [stateOf(this.planner, this.#follower), stateOf(fresh, once)];
    return isDeepStrictEqual(byChange, fromNothing) ? undefined : { byChange, fromNothing };
  }

  #restart(change: RandomChange, now: number): void {
    if (change.of === "restart") this.#settings = change.value;
    else tell(this.planner, change);
    this.planner = this.#again(now, [...this.#told.values()]);
    this.#follower = new Follower();
  }

  #preview(changes: readonly RandomChange[], now: number): void {
    for (const one of changes) tell(this.planner, one);
    this.planner.preview(now);
    this.planner.problems();
    for (const one of changes) {
      const before = this.#told.get(subjectOf(one));
      tell(this.planner, before ?? ({ of: one.of, key: one.key } as RandomChange));
    }
  }

  /** A planner with all inputs, before its first pass. */
  #again(now: number, told: readonly RandomChange[]): Planner {
    const planner = new Planner({ node: OWN_NODE, settings: this.#settings, maxChain: MAX_CHAIN, now });
    for (const [key, one] of this.planner.cluster.lastGood.rows()) planner.cluster.lastGood.set(key, one);
    for (const one of told) tell(planner, one);
    planner.forgetLost();
    return planner;
  }
}

function shuffled<T>(list: T[], seed: number): T[] {
  const random = randomOf(seed);
  for (let last = list.length - 1; last > 0; last--) {
    const other = random(last + 1);
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}

/** All that anybody reads of a planner. A derivation that threw is a difference: no input may make it. */
function stateOf(planner: Planner, follower: Follower) {
  const problems = planner.problems();
  const thrown = problems.find(({ message }) => message.startsWith("cannot be derived"));
  if (thrown) throw new Error(`${thrown.object} ${thrown.message}`);
  const { limits, impairments, programs } = planner.rules;
  return {
    document: follower.sorted(),
    problems: problems.map(({ object, path, message, severity }) => `${severity} ${object} ${path}: ${message}`),
    outcomes: planner
      .outcomes()
      .map((one) => JSON.stringify(one))
      .sort(),
    rules: [limits, impairments, programs, planner.ports, planner.nodes].map(rowsOf),
    wakeAt: planner.store.wakeAt,
    lastGood: rowsOf(planner.cluster.lastGood),
  };
}

const rowsOf = (rows: Readable<unknown>): unknown[] => rows.keys().map((key) => [key, rows.get(key)]);
