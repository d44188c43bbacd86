import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOAD_PODS, losses, type Round, underLoad } from "../../src/bench/continuity.ts";
import { Stage } from "../../src/bench/stage.ts";
import { restart } from "../../src/bench/survive.ts";
import { testEnvironment, WEIR } from "./lab.ts";
import { panels, pinned } from "./maps.ts";
import { buildObjects, type Objects } from "./objects.ts";

const LOAD = { packets: 50_000, rate: 100e6, seconds: 8 };

describe("a panel upgraded under a TCP flow and 50,000 datagrams a second", () => {
  let objects: Objects;
  let stage: Stage;
  let baseline: Round;
  beforeAll(async () => {
    objects = await buildObjects();
    stage = await Stage.up({
      weir: WEIR,
      nodes: 2,
      pods: LOAD_PODS,
      env: testEnvironment({ WEIR_BPF_DIR: objects.folder }),
    });
    baseline = await underLoad(stage, LOAD, () => new Promise((done) => setTimeout(done, 500)));
  });
  afterAll(async () => {
    await stage?.down();
    objects?.close();
  });

  test("nothing is lost when nothing happens", () => {
    expect(losses(baseline)).toEqual([]);
    expect(baseline.udpSent).toBeGreaterThan(0.8 * LOAD.packets * LOAD.seconds);
  });

  /** Restarts both agents on another build while packets flow. */
  const upgrade = (build: string): Promise<Round> => {
    let installed = false;
    return underLoad(stage, LOAD, async () => {
      if (installed) return new Promise((done) => setTimeout(done, 300));
      objects.install(build);
      installed = true;
      for (const node of ["node-1", "node-2"]) await restart(stage, node);
    });
  };

  test("same ABI, other programs: they are swapped and as many packets come out as go in", async () => {
    const [panel, ...others] = panels(stage, "node-1");
    expect(others).toEqual([]);
    const before = pinned(stage, "node-1", `${panel}/programs`);
    const round = await upgrade("rebuilt");
    expect(losses(round)).toEqual([]);
    expect(panels(stage, "node-1")).toEqual([panel]);
    const after = pinned(stage, "node-1", `${panel}/programs`);
    expect(after).toHaveLength(before.length);
    expect(after.filter((pin) => before.includes(pin))).toEqual([]);
  });

  test("new ABI: the devices move to the new panel and as many packets come out as go in", async () => {
    const round = await upgrade("abi2");
    expect(losses(round)).toEqual([]);
    for (const node of ["node-1", "node-2"]) {
      expect((await stage.status(node)).abi).toBe(2);
      expect(panels(stage, node)).toEqual([expect.stringMatching(/^abi-2(-|$)/)]);
    }
  });
});
