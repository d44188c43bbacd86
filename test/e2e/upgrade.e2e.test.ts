import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOAD_PODS, type Round, unaccounted, underLoad } from "../../src/bench/continuity.ts";
import { Stage } from "../../src/bench/stage.ts";
import { restart } from "../../src/bench/survive.ts";
import { REPOSITORY, testEnvironment, WEIR } from "./lab.ts";
import { panels, pinned } from "./maps.ts";
import { buildObjects, type Objects } from "./objects.ts";

/** A pod with a user's program, which is linked into a wrapper of the current build. */
const PROGRAMMED = { name: "c", node: "node-1", annotations: { "ebpf-limit": "drop-one-of egress -DN=1" } };
const LOAD = { packets: 50_000, rate: 100e6, seconds: 10 };

describe("a panel upgraded under a TCP flow and 50,000 datagrams a second", () => {
  const programs = mkdtempSync(join(tmpdir(), "weir-programs-"));
  cpSync(join(REPOSITORY, "examples/programs"), programs, { recursive: true });
  const builds = new Set<string>();
  let objects: Objects;
  let stage: Stage;
  let baseline: Round;
  beforeAll(async () => {
    objects = await buildObjects();
    stage = await Stage.up({
      weir: WEIR,
      nodes: 2,
      pods: [...LOAD_PODS, PROGRAMMED],
      programs,
      env: testEnvironment({ WEIR_BPF_DIR: objects.folder }),
    });
    baseline = await underLoad(stage, { ...LOAD, seconds: 4 }, () => new Promise((done) => setTimeout(done, 500)));
  });
  afterAll(async () => {
    await stage?.down();
    objects?.close();
    rmSync(programs, { recursive: true, force: true });
  });

  test("nothing is lost when nothing happens", async () => {
    expect(unaccounted(baseline)).toEqual([]);
    await programActs();
    expect(baseline.udpSent).toBeGreaterThan(LOAD.packets);
  });

  /** The user's program acts, rebuilt for this panel. */
  async function programActs(): Promise<void> {
    const [receipt] = await stage.get<{ state: string; build: string; packets: number }>("programs");
    expect(receipt).toMatchObject({ state: "active", build: expect.stringMatching(/^[0-9a-f]{12}$/) });
    expect(builds).not.toContain(receipt?.build);
    builds.add(receipt?.build ?? "");
    const { stdout } = await stage.attemptExec("c", [
      "ping",
      "-c",
      "1",
      "-W",
      "0.2",
      stage.ip(LOAD_PODS[0]?.name ?? "", 4),
    ]);
    expect(stdout).toContain("0 received");
    const [after] = await stage.get<{ packets: number; dropped: number }>("programs");
    expect(after?.packets).toBeGreaterThan(0);
    expect(after?.dropped).toBe(after?.packets);
  }

  /** Restarts both agents with another build while packets flow. */
  const upgrade = (build: string): Promise<Round> => {
    let installed = false;
    return underLoad(stage, LOAD, async () => {
      if (installed) return new Promise((done) => setTimeout(done, 300));
      objects.install(build);
      installed = true;
      for (const node of ["node-1", "node-2"]) await restart(stage, node);
    });
  };

  test("same ABI, other programs: programs are replaced and no packet is lost", async () => {
    const [panel, ...others] = panels(stage, "node-1");
    expect(others).toEqual([]);
    const before = pinned(stage, "node-1", `${panel}/programs`);
    const round = await upgrade("rebuilt");
    expect(unaccounted(round)).toEqual([]);
    expect(panels(stage, "node-1")).toEqual([panel]);
    const after = pinned(stage, "node-1", `${panel}/programs`);
    expect(after).toHaveLength(before.length);
    expect(after.filter((pin) => before.includes(pin))).toEqual([]);
    await programActs();
  });

  test("new ABI and layouts: the devices move to the new panel and no packet is lost", async () => {
    const round = await upgrade("abi3");
    expect(unaccounted(round)).toEqual([]);
    for (const node of ["node-1", "node-2"]) {
      expect((await stage.status(node)).abi).toBe(3);
      // The old panel is removed when none of its packets is queued any more.
      await expect.poll(() => panels(stage, node), { timeout: 90_000 }).toEqual([expect.stringMatching(/^abi-3-/)]);
    }
    await programActs();
  });
});
