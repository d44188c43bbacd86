import { expect, test } from "vitest";
import { Leases } from "./leases.ts";
import { Outcomes } from "./outcomes.ts";
import { MemoryTable } from "./tables.ts";
import { memoryTable } from "./testing/memory.ts";

type Lease = [name: string, seconds: number];

/** Leases with a manual clock, and the ids that were written. */
function bench() {
  let now = 1_000_000n;
  const written: number[] = [];
  const { key, value } = memoryTable("weir_leases");
  const table = new (class extends MemoryTable {
    override writeEach(rows: readonly [Buffer, Buffer][]) {
      const refusals = super.writeEach(rows);
      const refused = new Set(refusals.map(({ index }) => index));
      for (const [index, [row]] of rows.entries())
        if (!refused.has(index)) written.push(Number(key.decode(row)["instance"]));
      return refusals;
    }
  })("weir_leases", key, value);
  const outcomes = new Outcomes();
  const ids = new Map<string, number>();
  const idOf = (name: string) => ids.get(name) ?? Number(name);
  const clocks = { wall: () => 0, monotonic: () => now * 1_000_000n };
  const leases = new Leases(table, (name) => (idOf(name) < 0 ? undefined : idOf(name)), outcomes, clocks);
  const set = ([instance, seconds]: Lease) => ({ owner: `Pod/${instance}`, item: { instance, seconds }, gone: false });
  const take = (changed: Lease[], gone: string[] = []) => {
    for (const one of changed) leases.take(set(one));
    for (const instance of gone) leases.take({ owner: "", item: { instance, seconds: 0 }, gone: true });
    leases.ensure();
    return written.splice(0);
  };
  return { leases, take, table, outcomes, ids, written, pass: (ms: number) => (now += BigInt(ms)) };
}

test("new and changed leases are written at once, others on schedule", () => {
  const { leases, take, pass } = bench();
  expect(leases.interval).toBeUndefined();
  expect(take([["1", 60], ["2", 60]])).toEqual([1, 2]); // biome-ignore format: leases
  expect(leases.interval).toBe(20_000);
  pass(5000);
  expect(take([])).toEqual([]);
  expect(take([["2", 30], ["3", 60]])).toEqual([2, 3]); // biome-ignore format: leases
  expect(leases.interval).toBe(5000);
  pass(5000);
  expect(take([]).toSorted()).toEqual([1, 2, 3]);
});

test("frequent changes do not delay the renewal", () => {
  const { leases, take, pass } = bench();
  let renewed = 0;
  take([["1", 30]]);
  for (let turn = 0; turn < 60; turn++, pass(1000))
    renewed += take([[String(turn + 2), 3600]], turn > 0 ? [String(turn + 1)] : []).length > 1 ? 1 : 0;
  expect(renewed).toBe(5);
  expect(leases.interval).toBeLessThanOrEqual(10_000);
});

test("a lease that was removed and set again is written at once", () => {
  const { take } = bench();
  expect(take([["1", 60]])).toEqual([1]);
  expect(take([], ["1"])).toEqual([]);
  expect(take([["1", 60]])).toEqual([1]);
});

test("a lease that cannot be written affects its owner only; one whose instance has no id is written once it has", () => {
  const { leases, take, table, outcomes, ids, written, pass } = bench();
  take([["1", 60]]);
  table.maxEntries = 1;
  ids.set("3", -1);
  expect(take([["1", 30], ["2", 60], ["3", 60]])).toEqual([1]); // biome-ignore format: leases
  expect(outcomes.all()).toMatchObject([{ owner: "Pod/2", code: "full" }]);
  expect(leases.waiting).toBe(1);
  table.maxEntries = 9;
  pass(100);
  leases.tryAgain();
  ids.set("3", 3);
  leases.follow(["3"]);
  leases.ensure();
  expect([written.splice(0).toSorted(), outcomes.size, leases.retry.left]).toEqual([[2, 3], 0, undefined]);
});
