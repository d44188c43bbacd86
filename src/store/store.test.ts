import { describe, expect, test } from "vitest";
import { randomOf } from "../model/testing/random.ts";
import type { Readable } from "./collection.ts";
import { Store } from "./store.ts";

interface Pod {
  namespace: string;
  labels: string;
  size: number;
  /** The pod has a weight from this time on. */
  from: number;
}

/** A store with each kind of collection: derived rows over derived rows, indexes, selectors, time. */
function world(now = 0) {
  const store = new Store(now);
  const namespaces = store.source<{ factor: number }>("namespaces");
  const pods = store.source<Pod>("pods", { indexes: { namespace: ({ namespace }) => [namespace] } });
  const selectors = store.source<{ label: string; group?: string }>("selectors");
  const labels = store.derive(
    "labels",
    [pods],
    (key, view) => {
      const pod = view.row(pods, key);
      return pod && { group: pod.namespace, text: pod.labels };
    },
    { same: (a, b) => a.group === b.group && a.text === b.text },
  );
  const weights = store.derive("weights", [pods], (key, view) => {
    const pod = view.row(pods, key);
    if (!pod || !view.isPast(pod.from)) return undefined;
    return pod.size * (view.row(namespaces, pod.namespace)?.factor ?? 1);
  });
  const selected = store.select("selected", {
    selectors,
    rows: labels,
    selects: ({ label }, row) => row.text.includes(label),
    within: ({ group }) => group,
    groupOf: ({ group }) => group,
  });
  const sums = store.derive("sums", [namespaces], (key, view) =>
    view.keys(pods, "namespace", key).reduce((sum, pod) => sum + (view.row(weights, pod) ?? 0), 0),
  );
  const heaviest = store.derive("heaviest", [selectors], (key, view) =>
    Math.max(0, ...view.selected(selected, key).map((pod) => view.row(weights, pod) ?? 0)),
  );
  const selectorsOf = store.derive("selectors of", [pods], (key, view) => view.selectorsOf(selected, key).join());
  const someHeavy = store.derive("some heavy", [selectors], (key, view) => view.selectsSome(selected, key));
  const isPeopled = store.derive("is peopled", [namespaces, selectors], (key, view) =>
    view.some(pods, "namespace", key),
  );
  return {
    store,
    namespaces,
    pods,
    selectors,
    labels,
    weights,
    selected,
    sums,
    heaviest,
    selectorsOf,
    someHeavy,
    isPeopled,
  };
}
type World = ReturnType<typeof world>;

const rowsOf = (collection: Readable<unknown>): [string, unknown][] =>
  collection.keys().map((key) => [key, collection.get(key)]);
const DERIVED = ["labels", "weights", "sums", "heaviest", "selectorsOf", "someHeavy", "isPeopled"] as const;
const derivedOf = (one: World) => DERIVED.map((name) => rowsOf(one[name]));

function selector(below: (count: number) => number): { label: string; group?: string } {
  const label = "abc".charAt(below(3));
  return below(2) === 0 ? { label } : { label, group: `k${below(4)}` };
}

function change(one: World, below: (count: number) => number, now: number): void {
  const key = `k${below(12)}`;
  const what = below(8);
  if (what === 0) one.namespaces.set(key, { factor: below(3) });
  else if (what === 1) one.namespaces.delete(key);
  else if (what === 2) one.selectors.set(key, selector(below));
  else if (what === 3) one.selectors.delete(key);
  else if (what === 4) one.pods.delete(key);
  else {
    const labels = ["a", "ab", "bc", ""][below(4)] ?? "";
    one.pods.set(key, { namespace: `k${below(4)}`, labels, size: below(5), from: now + below(50) - 25 });
  }
}

function again(one: World, now: number): World {
  const fresh = world(now);
  for (const name of ["namespaces", "pods", "selectors"] as const) {
    for (const [key, row] of one[name].rows()) fresh[name].set(key, row as never);
  }
  fresh.store.settle(now);
  return fresh;
}

test.each([1, 2, 3])(
  "10,000 changes, seed %d: what is derived change by change is what is derived from nothing",
  (seed) => {
    const below = randomOf(seed);
    const one = world();
    let now = 0;
    for (let count = 0; count < 10_000; count++) {
      now = below(50) === 0 ? Math.max(0, now - below(60)) : now + below(3); // sometimes the clock is set back
      change(one, below, now);
      if (below(3) > 0) continue; // several changes at once
      one.store.settle(now);
      if (count % 20 === 0) expect(derivedOf(one)).toEqual(derivedOf(again(one, now)));
    }
  },
);

describe("a changed row", () => {
  test("is the only reason to derive the rows that read it again", () => {
    const one = world();
    one.namespaces.set("n", { factor: 2 });
    for (let i = 0; i < 100; i++) one.pods.set(`p${i}`, { namespace: "n", labels: "", size: 1, from: 0 });
    one.store.settle(0);
    one.pods.set("p7", { namespace: "n", labels: "", size: 3, from: 0 });
    // derived again: the pod's labels, its weight, the sum of its namespace
    expect(one.store.settle(0)).toBe(3);
    expect(one.sums.get("n")).toBe(2 * 102);
    expect(one.store.settle(0)).toBe(0);
  });

  test("that equals the old one is not a change", () => {
    const store = new Store();
    const source = store.source<{ n: number }>("source", { same: (a, b) => a.n === b.n });
    const derived = store.derive("derived", [source], (key, view) => view.row(source, key)?.n);
    source.set("a", { n: 1 });
    store.settle(0);
    expect(source.set("a", { n: 1 })).toBe(false);
    expect(store.settle(0)).toBe(0);
    expect(derived.get("a")).toBe(1);
  });
});

test("a derivation that throws removes its own row only, until what it read changes", () => {
  const store = new Store();
  const source = store.source<number>("source");
  const derived = store.derive("inverse", [source], (key, view) => {
    const value = view.row(source, key) ?? 0;
    if (value === 0) throw new Error("divide by 0");
    return 1 / value;
  });
  source.replace(
    new Map([
      ["a", 0],
      ["b", 4],
    ]),
  );
  store.settle(0);
  expect([...derived.rows()]).toEqual([["b", 0.25]]);
  expect([...derived.errors].map(([key, { message }]) => [key, message])).toEqual([["a", "divide by 0"]]);
  source.set("a", 2);
  store.settle(0);
  expect([derived.get("a"), derived.errors.size]).toEqual([0.5, 0]);
});

test("a row that waits for a time is derived again at that time", () => {
  const one = world();
  one.pods.set("p", { namespace: "n", labels: "", size: 1, from: 500 });
  one.store.settle(100);
  expect([one.weights.get("p"), one.store.wakeAt]).toEqual([undefined, 500]);
  one.store.settle(500);
  expect([one.weights.get("p"), one.store.wakeAt]).toEqual([1, undefined]);
});

test("a derivation that reads a collection declared after its own fails", () => {
  const store = new Store();
  const source = store.source<number>("source");
  let later: Readable<number> = source;
  const derived = store.derive("derived", [source], (key, view) => view.row(later, key));
  later = store.derive("later", [source], () => 1);
  source.set("a", 1);
  store.settle(0);
  expect(derived.errors.get("a")?.message).toBe("derive derived: later is declared after it");
  expect(() => store.source("source")).toThrow("declare collection source: the name is in use");
});

test("replacing all rows removes rows that are not in the new set", () => {
  const store = new Store();
  const source = store.source<number>("source");
  source.replace(
    new Map([
      ["a", 1],
      ["b", 2],
    ]),
  );
  source.replace(
    new Map([
      ["b", 2],
      ["c", 3],
    ]),
  );
  expect(rowsOf(source)).toEqual([
    ["b", 2],
    ["c", 3],
  ]);
});
