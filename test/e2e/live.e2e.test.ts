import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { losses } from "../../src/bench/continuity.ts";
import { EDIT_PODS, EDITED, editUnderLoad, limited } from "../../src/bench/live.ts";
import { Meter, monotonic } from "../../src/bench/meter.ts";
import { spread } from "../../src/bench/stats.ts";
import { lab } from "./lab.ts";

const EDITS = 10;

describe("a limit changed while packets flow", () => {
  const fixture = lab({ nodes: 2, overlay: "direct", pods: EDIT_PODS });
  const ours = async () => (await fixture.stage.limits()).filter(({ pod }) => pod === EDITED.name);

  test(`${EDITS} edits hold on the wire, and other pods' flows lose nothing`, async () => {
    const { edits, rounds } = await editUnderLoad(fixture.stage, { edits: EDITS, seconds: 14 });
    const times = edits.map(({ wireMs }) => wireMs ?? Number.POSITIVE_INFINITY);
    // The bench holds p99 to a second on a quiet machine.
    expect(spread(times).p50, JSON.stringify(edits)).toBeLessThan(1000);
    expect(spread(times).max, JSON.stringify(edits)).toBeLessThan(4000);
    for (const round of rounds) expect(losses(round)).toEqual([]);
  });

  test("removing the annotation lifts the limit, adding it sets it again", async () => {
    const { stage } = fixture;
    const meter = await Meter.start(stage, EDITED.name, "sink");
    const rate = async (): Promise<number> => {
      await sleep(1000);
      return meter.rate(monotonic() - 600, monotonic() - 100) ?? 0;
    };
    try {
      await stage.apply([limited(50e6)]);
      expect((await rate()) / 50e6).toBeLessThan(1.05);
      await stage.apply([EDITED]);
      expect(await ours()).toEqual([]);
      expect((await rate()) / 50e6).toBeGreaterThan(4);
      await stage.apply([limited(50e6)]);
      expect((await rate()) / 50e6).toBeLessThan(1.05);
      expect(await ours()).toMatchObject([{ direction: "egress", configured: 50e6, effective: 50e6, reason: null }]);
    } finally {
      await meter.close();
    }
  });

  test("a bad value is reported, and the last good limit stays", async () => {
    const { stage } = fixture;
    await stage.apply([limited(50e6)]);
    const bad = { ...EDITED, annotations: { "kubernetes.io/egress-bandwidth": "fast" } };
    const before = monotonic();
    stage.writePod(bad);
    let found = await ours();
    while (found[0]?.reason == null && monotonic() < before + 5000) {
      await sleep(100);
      found = await ours();
    }
    expect(found).toMatchObject([{ direction: "egress", written: "fast", effective: 50e6 }]);
    expect(found[0]?.reason).toMatch(/egress-bandwidth|fast/);
    await stage.refresh();
    expect(JSON.stringify(stage.pod(EDITED.name).problems)).toContain("egress-bandwidth");
    const meter = await Meter.start(stage, EDITED.name, "sink");
    await sleep(1200);
    expect((meter.rate(monotonic() - 900, monotonic() - 100) ?? 0) / 50e6).toBeLessThan(1.05);
    await meter.close();
  });
});
