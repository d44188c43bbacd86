import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Burst, Tracker } from "./testing/tracking.ts";

/** Only the BPF programs run in these tests: no agent, no timer and no sweep removes rows. */
let tracker: Tracker;
const open = (buckets: number): void => {
  tracker = new Tracker({ buckets });
};
afterEach(() => tracker?.close());

const MILLION = 1_000_000;
const VICTIM = 2;
const ATTACKER = 3;

describe("a million short flows", () => {
  beforeEach(() => open(1024));

  test("that expire in time never find the table full", () => {
    const { opened, refused, lost, missed } = tracker.burst({ work: "open", flows: MILLION, perSecond: 60 });
    expect({ opened, refused, lost, missed }).toEqual({ opened: MILLION, refused: 0, lost: 0, missed: 0 });
    expect(tracker.table.owner(1)).toMatchObject({ opened: BigInt(MILLION), replaced: 0n, evicted: 0n, refused: 0n });
  });

  test.each([
    ["a quota of a quarter", 8192],
    ["all of the table", 32_768],
  ])("as fast as possible, with %s: each is found, and the newest remain", (_, quota) => {
    tracker.table.setQuota(quota);
    const burst: Burst = { work: "open", flows: MILLION };
    const { opened, refused, lost, missed } = tracker.burst(burst);
    expect({ opened, refused, lost, missed }).toEqual({ opened: MILLION, refused: 0, lost: 0, missed: 0 });
    expect(tracker.burst({ work: "find-answer", flows: MILLION, next: MILLION - 200 }, 200)).toMatchObject({
      found: 200,
    });
    const { held, replaced } = tracker.table.owner(1);
    expect(held).toBeLessThanOrEqual(Math.min(quota * 1.25, tracker.table.ways));
    expect(Number(replaced)).toBe(MILLION - held);
  });

  test("are stored when they are translated", () => {
    const { opened, refused, lost, missed, taken } = tracker.burst({ work: "open", flows: MILLION, translate: 8080 });
    expect({ opened, refused, lost, missed, taken }).toEqual({
      opened: MILLION,
      refused: 0,
      lost: 0,
      missed: 0,
      taken: 0,
    });
    expect([...tracker.table.rows()].length).toBe(tracker.table.owner(1).held);
  });

  test("are stored for several owners", () => {
    const { opened, refused, lost } = tracker.burst({ work: "open", flows: MILLION, owner: 10, owners: 300 });
    expect({ opened, refused, lost }).toEqual({ opened: MILLION, refused: 0, lost: 0 });
  });
});

describe("an owner that opens flows as fast as possible", () => {
  beforeEach(() => open(128));
  const flood = (more: Partial<Burst> = {}): Burst => ({
    work: "open",
    flows: MILLION,
    zone: 9,
    owner: ATTACKER,
    ...more,
  });
  const victims = (from: number, to: number, work: Burst["work"]) =>
    tracker.burst({ work, flows: MILLION, next: from, zone: 1, owner: VICTIM }, to - from);

  test.each([
    ["with the quota of all", undefined],
    ["with no quota", 128 * 32],
  ])("%s, neither ends others' flows nor prevents new ones", async (_, quota) => {
    if (quota !== undefined) tracker.table.setQuota(quota);
    expect(victims(0, 250, "open")).toMatchObject({ opened: 250, refused: 0 });
    tracker.prepare(flood(), 1);
    tracker.run(200_000, 1);
    expect(victims(0, 250, "find-answer")).toMatchObject({ found: 250, missed: 0 });
    const beside = tracker.runBeside(300_000, 1); // runs on another processor meanwhile
    expect(victims(250, 500, "open")).toMatchObject({ opened: 250, refused: 0, lost: 0 });
    expect(victims(0, 500, "find")).toMatchObject({ found: 500, missed: 0 });
    await beside;
    expect(victims(0, 500, "find-answer")).toMatchObject({ found: 500, missed: 0 });
    expect(tracker.table.owner(VICTIM)).toMatchObject({ held: 500, lost: 0n, refused: 0n });
    expect(tracker.counted(1)).toMatchObject({ opened: 500_000, refused: 0, lost: 0 });
  });

  test("under many owner ids leaves room for others", () => {
    tracker.prepare(flood({ owners: 8 }), 1);
    tracker.run(200_000, 1);
    expect(victims(0, 20, "open")).toMatchObject({ opened: 20, refused: 0, lost: 0 });
    tracker.run(200_000, 1);
    expect(victims(0, 20, "find-answer")).toMatchObject({ found: 20, missed: 0 });
  });

  test("has the evictions and refusals counted as its own", () => {
    tracker.run(0);
    tracker.prepare(flood(), 1);
    tracker.run(50_000, 1);
    const { held, opened, replaced, evicted, refused } = tracker.table.owner(ATTACKER);
    expect({ opened, evicted, refused }).toEqual({ opened: 50_000n, evicted: 0n, refused: 0n });
    expect(Number(replaced)).toBe(50_000 - held);
    expect(tracker.table.owner(VICTIM)).toMatchObject({ held: 0, lost: 0n });
  });

  test("is refused by a table full of others' connections, which stay", () => {
    // as many owners as a bucket has ways, each with a flow or two in every bucket
    tracker.table.setTimeouts({ "udp-new": 432_000 });
    tracker.burst({ work: "open", flows: MILLION, zone: 1, owner: 100, owners: 900 }, 60_000);
    const before = tracker.table.owners().reduce((sum, { lost }) => sum + lost, 0n);
    const { opened, refused } = tracker.burst(flood(), 2000);
    expect(opened + refused).toBe(2000);
    expect(Number(tracker.table.owner(ATTACKER).refused)).toBe(refused);
    const lost = tracker.table.owners().reduce((sum, owner) => sum + owner.lost, 0n) - before;
    expect(tracker.table.owner(ATTACKER).evicted).toBe(lost);
    expect(refused).toBeGreaterThan(0);
  });
});

describe("on two processors at once", () => {
  beforeEach(() => {
    open(4096);
    tracker.table.setQuota(tracker.table.ways);
  });

  test.each([
    ["as they are", 0, 1],
    ["translated", 8080, 2],
  ])("the same flows, %s: one row each", async (_, translate, rows) => {
    const flows = 5000;
    for (let round = 1; round <= 10; round++) {
      for (const row of [0, 1]) tracker.prepare({ work: "open", flows, zone: round, translate }, row);
      await Promise.all([tracker.runBeside(flows, 0), tracker.runBeside(flows, 1)]);
      const [one, other] = [tracker.counted(0), tracker.counted(1)];
      expect(one.opened + other.opened).toBe(flows);
      expect(one.found + other.found).toBe(flows);
      expect([one, other].map(({ lost, missed, taken, refused }) => [lost, missed, taken, refused])).toEqual([
        [0, 0, 0, 0],
        [0, 0, 0, 0],
      ]);
      expect(tracker.table.owner(1).held).toBe(flows * rows);
      expect(tracker.burst({ work: "find-answer", flows, zone: round, translate })).toMatchObject({ found: flows });
      expect(await tracker.table.remove({ zone: round })).toBe(flows * rows);
      expect(tracker.table.owner(1).held).toBe(0);
    }
  });

  test("different flows, while a sweep removes rows: every row is counted once", async () => {
    for (const row of [0, 1]) tracker.prepare({ work: "open", flows: MILLION, zone: row, owner: row + 1 }, row);
    const running = Promise.all([tracker.runBeside(200_000, 0), tracker.runBeside(200_000, 1)]);
    let removed = 0;
    for (let i = 0; i < 5; i++) removed += await tracker.table.remove({ owner: 1 });
    await running;
    expect(removed).toBeGreaterThan(0);
    const rows = [...tracker.table.rows()];
    for (const owner of [1, 2]) {
      expect(rows.filter((row) => row.owner === owner)).toHaveLength(tracker.table.owner(owner).held);
    }
    expect([tracker.counted(0).opened, tracker.counted(1).opened]).toEqual([200_000, 200_000]);
  });
});
