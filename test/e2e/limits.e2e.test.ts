import { beforeAll, describe, expect, test } from "vitest";
import { caseName, LIMIT_PODS, LIMITED, type LimitCase, runLoad, setLimits } from "../../src/bench/limit-case.ts";
import { lab } from "./lab.ts";
import { podMtu } from "./probe.ts";

const tcp = (congestion: string, flows: number) => ({ protocol: "tcp", congestion, flows }) as const;
const udp = { protocol: "udp", flows: 1 } as const;

/**
 * A sample with each rate, location, direction, family and kind of load at least once. `weir bench matrix` runs all
 * combinations.
 */
const CASES: readonly LimitCase[] = [
  { rate: 1e6, direction: "ingress", where: "across", family: 4, ...tcp("cubic", 1) },
  { rate: 10e6, direction: "ingress", where: "same", family: 4, ...udp },
  { rate: 10e6, direction: "egress", where: "across", family: 6, ...tcp("bbr", 8) },
  { rate: 100e6, direction: "egress", where: "same", family: 4, ...tcp("cubic", 1) },
  { rate: 100e6, direction: "ingress", where: "across", family: 6, ...tcp("bbr", 1) },
  { rate: 100e6, direction: "egress", where: "across", family: 4, ...udp },
  { rate: 1e9, direction: "ingress", where: "same", family: 6, ...tcp("cubic", 8) },
  { rate: 1e9, direction: "egress", where: "same", family: 4, ...tcp("bbr", 1) },
];

describe("bandwidth limits hold at layer 3", () => {
  const fixture = lab({ nodes: 2, pods: LIMIT_PODS });
  let mtu = 0;
  beforeAll(async () => {
    mtu = await podMtu(fixture.stage, LIMITED);
  });

  test.each(CASES.map((one) => ({ name: caseName(one), ...one })))("$name", async ({ rate, name: _name, ...load }) => {
    const { stage } = fixture;
    await setLimits(stage, { [load.direction]: rate });
    const result = await runLoad(stage, load, { seconds: 3, mtu, rate });
    // Detects wrong units, directions and families; `weir bench matrix` measures the accuracy.
    expect(result.rate / rate, JSON.stringify(result)).toBeLessThan(1.25);
    expect(result.rate / rate, JSON.stringify(result)).toBeGreaterThan(0.4);
    const told = (await stage.limits()).filter(({ pod, direction }) => pod === LIMITED && direction === load.direction);
    expect(told).toMatchObject([{ configured: rate, effective: rate, reason: null }]);
  });

  test("without the annotation there is no limit", async () => {
    const { stage } = fixture;
    const before = 10e6;
    await setLimits(stage, { egress: before });
    await setLimits(stage, {});
    expect(await stage.limits()).toEqual([]);
    const load = { direction: "egress", where: "same", family: 4, ...tcp("cubic", 1) } as const;
    expect((await runLoad(stage, load, { seconds: 2, mtu })).rate).toBeGreaterThan(10 * before);
  });
});
