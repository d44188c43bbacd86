import { expect, test } from "vitest";
import type { KernelTable } from "./kernel-table.ts";
import { Leases } from "./leases.ts";

/** Leases whose clock stands still until it is moved, and the ids that were written. */
function bench() {
  let now = 1_000_000n;
  const written: number[] = [];
  const map = { updateBatch: (rows: [Buffer, Buffer][]) => written.push(...rows.map(([key]) => key.readUInt32LE())) };
  const key = {
    encode: ({ instance }: { instance: number }) => Buffer.from(Uint32Array.of(instance).buffer),
  };
  const leases = new Leases({ key, map } as unknown as KernelTable, {
    wall: () => 0,
    monotonic: () => now * 1_000_000n,
  });
  const take = (...names: [name: string, seconds: number][]) => {
    leases.follow(
      names.map(([instance, seconds]) => ({ instance, seconds })),
      (name) => Number(name),
    );
    return written.splice(0);
  };
  return { leases, take, written, pass: (ms: number) => (now += BigInt(ms)) };
}

test("what is new or another one is renewed at once, the rest when it is due", () => {
  const { leases, take, pass } = bench();
  expect(leases.interval).toBeUndefined();
  expect(take(["1", 60], ["2", 60])).toEqual([1, 2]);
  expect(leases.interval).toBe(20_000);
  pass(5000);
  expect(take(["1", 60], ["2", 60])).toEqual([]);
  expect(take(["1", 60], ["2", 30], ["3", 60])).toEqual([2, 3]);
  expect(leases.interval).toBe(5000);
  pass(5000);
  expect(take(["1", 60], ["2", 30], ["3", 60])).toEqual([1, 2, 3]);
});

test("changes, however often, put no renewal off", () => {
  const { leases, take, pass } = bench();
  let renewed = 0;
  for (let turn = 0; turn < 60; turn++, pass(1000))
    renewed += take(["1", 30], [String(turn + 2), 3600]).length > 1 ? 1 : 0;
  expect(renewed).toBe(6);
  expect(leases.interval).toBeLessThanOrEqual(10_000);
});

test("one that went and came back is renewed at once", () => {
  const { take } = bench();
  expect(take(["1", 60])).toEqual([1]);
  expect(take()).toEqual([]);
  expect(take(["1", 60])).toEqual([1]);
});
