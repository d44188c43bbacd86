import { expect, test } from "vitest";
import { randomOf } from "../model/testing/random.ts";
import { Source } from "../store/store.ts";
import { Planner } from "./planner.ts";
import { tell } from "./testing/change.ts";
import { planningProperty, showPasses } from "./testing/property.ts";
import { randomPasses } from "./testing/random.ts";
import { shrunk } from "./testing/shrink.ts";
import { OWN_NODE } from "./testing/values.ts";

/** `weir bench planning` has a million. */
test("10,000 random changes: planning incrementally equals planning from nothing", () => {
  const { failure, comparisons } = planningProperty({ seed: 1, changes: 10_000, every: 10 });
  expect(failure?.difference, failure && showPasses(failure.passes)).toBeUndefined();
  expect(comparisons).toBeGreaterThan(100);
});

test("random changes add, change and remove rows of every source collection", () => {
  const planner = new Planner({ node: OWN_NODE, maxChain: 7 });
  const sources = Object.values(planner.cluster).filter((one) => one instanceof Source);
  const seen = new Map(sources.map(({ name }) => [name, new Set<string>()]));
  for (const source of sources) {
    source.watch(({ before, after }) => {
      const what = before === undefined ? "added" : after === undefined ? "removed" : "changed";
      seen.get(source.name)?.add(what);
    });
  }
  for (const { now, changes } of randomPasses(randomOf(5), 10_000)) {
    for (const change of changes) tell(planner, change);
    planner.settle(now);
  }
  const all = ["added", "changed", "removed"];
  const missing = [...seen].map(([name, what]) => [name, all.filter((one) => !what.has(one))] as const);
  expect(sources).toContain(planner.cluster.lastGood);
  // the node's one row is there from the start; what is said of another object depends on its kind alone
  expect(Object.fromEntries(missing.filter(([, what]) => what.length > 0))).toEqual({
    node: ["added", "removed"],
    "other objects": ["changed"],
  });
});

test("a failing sequence is cut down to the changes that it needs", () => {
  const passes = [...randomPasses(randomOf(1), 2000)];
  const isOf = (kind: string) => (one: (typeof passes)[number]) => one.changes.some(({ key }) => key.startsWith(kind));
  const fails = (some: typeof passes): boolean => some.some(isOf("Limit/")) && some.some(isOf("Node/"));
  const few = shrunk(passes, (some) => fails([...some]));
  const kinds = few.flatMap(({ changes }) => changes.map(({ key }) => key.slice(0, key.indexOf("/"))));
  expect(kinds.sort()).toEqual(["Limit", "Node"]);
});
