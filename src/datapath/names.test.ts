import { expect, test } from "vitest";
import { MAX_SLOTS } from "./layout.ts";
import { Names } from "./names.ts";
import { memoryTable } from "./testing/memory.ts";

test("a name keeps its id, also after a restart", () => {
  const table = memoryTable("weir_names");
  const names = new Names({ table });
  const ids = ["a", "b", "c"].map((name) => names.id("port", name));
  expect(ids).toEqual([1, 2, 3]);
  expect(names.id("instance", "a")).toBe(1); // each kind of name has its own ids
  const next = new Names({ table });
  expect(["c", "b", "a"].map((name) => next.id("port", name))).toEqual([3, 2, 1]);
  expect(next.id("port", "d")).toBe(4);
});

test("a released id is reused as late as possible", () => {
  const names = new Names({ table: memoryTable("weir_names") });
  for (let i = 1; i < MAX_SLOTS; i++) names.id("function", `f${i}`);
  expect(() => names.id("function", "one too many")).toThrow(`all ${MAX_SLOTS - 1} are taken`);
  names.prune("function", new Set(Array.from({ length: MAX_SLOTS - 3 }, (_, i) => `f${i + 3}`))); // releases 1 and 2
  expect(names.id("function", "x")).toBe(1);
  names.prune("function", new Set(Array.from({ length: MAX_SLOTS - 3 }, (_, i) => `f${i + 3}`))); // releases 1 again
  expect(names.id("function", "y")).toBe(2);
});

test("pruning one kind leaves the others", () => {
  const table = memoryTable("weir_names");
  const names = new Names({ table });
  names.id("port", "p");
  names.id("instance", "i");
  names.prune("port", new Set());
  expect([names.find("port", "p"), names.find("instance", "i")]).toEqual([undefined, 1]);
  expect(table.entries()).toHaveLength(1);
});

test("a name that does not fit its row is refused", () => {
  const names = new Names({ table: memoryTable("weir_names") });
  expect(() => names.id("port", "x".repeat(60))).toThrow("at most 55 fit");
});

test("an id in counters is reused only after they were reset", () => {
  let forgotten = 0;
  const names = new Names({ table: memoryTable("weir_names"), sizes: { ports: 16 }, forget: () => forgotten++ });
  for (let i = 1; i < 16; i++) names.id("port", `p${i}`);
  names.prune("port", new Set(Array.from({ length: 12 }, (_, i) => `p${i + 4}`)));
  expect(forgotten).toBe(0);
  expect(["a", "b", "c"].map((name) => names.id("port", name))).toEqual([1, 2, 3]);
  expect(forgotten).toBe(1);
  expect(() => names.id("port", "d")).toThrow("allocate port id: all 15 are taken");
});
