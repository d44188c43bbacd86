import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { unaccounted } from "../../src/bench/continuity.ts";
import { EDIT_PODS, EDITED, editUnderLoad, limited } from "../../src/bench/live.ts";
import { Meter, monotonic } from "../../src/bench/meter.ts";
import { lab } from "./lab.ts";

const EDITS = 8;

const PATIENCE = { timeout: 60_000, interval: 100 };
/** Share of 50 Mbit/s that the flow reaches in the last half second; 0 until it is known. */
const shareOf = (meter: Meter): number => (meter.rate(monotonic() - 600, monotonic() - 100) ?? 0) / 50e6;
/** Waits until the flow is at its limit and carries data. */
const held = (meter: Meter): Promise<void> =>
  expect.poll(() => shareOf(meter) > 0 && shareOf(meter) < 1.05, PATIENCE).toBe(true);

describe("a limit changed while packets flow", () => {
  const fixture = lab({ nodes: 2, overlay: "direct", pods: EDIT_PODS });
  const ours = async () => (await fixture.stage.limits()).filter(({ pod }) => pod === EDITED.name);

  test(`${EDITS} edits take effect, and other pods' flows lose no packets`, async () => {
    const { edits, rounds } = await editUnderLoad(fixture.stage, { edits: EDITS, seconds: 14 });
    // `weir bench live` measures the latency, on a quiet machine.
    expect(edits.filter(({ wireMs }) => wireMs === null)).toEqual([]);
    for (const round of rounds) expect(unaccounted(round)).toEqual([]);
  });

  test("removing the annotation lifts the limit, adding it sets it again", async () => {
    const { stage } = fixture;
    const meter = await Meter.start(stage, EDITED.name, "sink");
    try {
      await stage.apply([limited(50e6)]);
      await held(meter);
      await stage.apply([EDITED]);
      expect(await ours()).toEqual([]);
      await expect.poll(() => shareOf(meter), PATIENCE).toBeGreaterThan(4);
      await stage.apply([limited(50e6)]);
      await held(meter);
      expect(await ours()).toMatchObject([{ direction: "egress", configured: 50e6, effective: 50e6, reason: null }]);
    } finally {
      await meter.close();
    }
  });

  test("a bad value is reported, and the last valid limit stays in force", async () => {
    const { stage } = fixture;
    await stage.apply([limited(50e6)]);
    const bad = { ...EDITED, annotations: { "kubernetes.io/egress-bandwidth": "fast" } };
    const before = monotonic();
    stage.writePod(bad);
    let found = await ours();
    while (found[0]?.reason == null && monotonic() < before + PATIENCE.timeout) {
      await sleep(100);
      found = await ours();
    }
    expect(found).toMatchObject([{ direction: "egress", written: "fast", effective: 50e6 }]);
    expect(found[0]?.reason).toMatch(/egress-bandwidth|fast/);
    await stage.refresh();
    expect(JSON.stringify(stage.pod(EDITED.name).problems)).toContain("egress-bandwidth");
    const meter = await Meter.start(stage, EDITED.name, "sink");
    await held(meter);
    await meter.close();
  });
});
