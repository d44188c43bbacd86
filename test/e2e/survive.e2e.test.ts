import { describe, expect, test } from "vitest";
import { LOAD_PODS, unaccounted, underLoad } from "../../src/bench/continuity.ts";
import { restart } from "../../src/bench/survive.ts";
import { lab } from "./lab.ts";
import { dumpMaps } from "./maps.ts";

const LOAD = { packets: 5000, rate: 100e6 };
/** One kill on each node; `weir bench survive` makes a hundred. */
const KILLS = 2;

describe("an agent killed with -9 under load", () => {
  const fixture = lab({ nodes: 2, overlay: "direct", pods: LOAD_PODS });

  test(`${KILLS} times: no reset, no packet lost, no row written`, async () => {
    const { stage } = fixture;
    const writes: number[] = [];
    while (writes.length < KILLS) {
      const round = await underLoad(stage, { ...LOAD, seconds: 10 }, async () => {
        writes.push(await restart(stage, `node-${(writes.length % 2) + 1}`));
      });
      expect(unaccounted(round)).toEqual([]);
      expect(round.done).toBeGreaterThan(0);
    }
    expect(writes).toEqual(writes.map(() => 0));
  });

  test("the maps hold the same rows after a restart as before", async () => {
    const { stage } = fixture;
    const before = dumpMaps(stage, "node-1");
    expect(before.size).toBeGreaterThan(5);
    expect([...before.values()].reduce((sum, rows) => sum + rows.length, 0)).toBeGreaterThan(10);
    await restart(stage, "node-1");
    expect(dumpMaps(stage, "node-1")).toEqual(before);
  });
});
