import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { udp } from "../../../test/packets.ts";
import { type Loss, lossProbability } from "../../model/impair.ts";
import { binomialTest } from "../../model/statistics.ts";
import { Bench, fromB, fromB6, PAYLOAD, PORTS, rule, toB, toB6, UNLIKELY } from "./testing/bench.ts";

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
});
afterAll(() => bench?.close());

describe("random loss", () => {
  const uniform = (probability: number): Loss => ({ model: "uniform", probability });
  const exponential = (threshold: number): Loss => ({ model: "exponential", threshold });
  const LOSSES = [
    ...[0.001, 0.01, 0.02, 0.05, 0.2, 0.5].map(uniform),
    ...[100, 200, 300, 500, 900].map(exponential),
  ] as const;
  const cases = LOSSES.flatMap((loss) => [
    { loss, family: 4, frame: fromB(udp(PORTS, PAYLOAD)) },
    { loss, family: 6, frame: fromB6(udp(PORTS, PAYLOAD)) },
  ]);
  test.each(cases)("100,000 packets of IPv$family at $loss", ({ loss, frame }) => {
    bench.apply(rule("ingress", { loss }));
    const { packets, lost } = bench.repeat("ingress", frame, 100_000);
    expect(packets).toBe(100_000);
    expect(binomialTest(lost, packets, lossProbability(loss))).toBeGreaterThan(UNLIKELY);
  });

  test("0.001 % of ten million packets", () => {
    bench.apply(rule("ingress", { loss: uniform(1e-5) }));
    const { packets, lost } = bench.repeat("ingress", fromB(udp(PORTS, PAYLOAD)), 10_000_000);
    expect(binomialTest(lost, packets, 1e-5)).toBeGreaterThan(UNLIKELY);
  });

  test.each([
    ["nothing", 0, 0],
    ["everything", 1, 10_000],
  ])("a probability of %s is exact", (_what, probability, expected) => {
    bench.apply(rule("ingress", { loss: uniform(probability) }));
    expect(bench.repeat("ingress", fromB(udp(PORTS)), 10_000).lost).toBe(expected);
  });
});

describe("loss with a seed", () => {
  // the pod's kernel sometimes sends multicast reports, so the rule only matches UDP
  const match = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const seeded = (seed: number, probability = 0.1) =>
    bench.apply(rule("egress", { loss: { model: "uniform", probability } }, { seed, match }));
  /** Whether each packet of a sequence is lost. */
  const fates = (count: number): boolean[] =>
    Array.from({ length: count }, () => bench.isLost("egress", toB(udp(PORTS, PAYLOAD))));
  /** Writes the rule again, which restarts its sequence. */
  const begin = (seed: number): void => {
    bench.node.applyRules({});
    seeded(seed);
  };

  test("the same seed loses the same packets, another seed other ones", () => {
    begin(7);
    const first = fates(1000);
    begin(7);
    expect(fates(1000)).toEqual(first);
    begin(8);
    expect(fates(1000)).not.toEqual(first);
  });

  test.each([1, 2, 4_294_967_295])("losses with seed %d are evenly distributed", (seed) => {
    bench.apply(rule("ingress", { loss: { model: "uniform", probability: 0.1 } }, { seed }));
    const { packets, lost } = bench.repeat("ingress", fromB(udp(PORTS)), 100_000);
    expect(binomialTest(lost, packets, 0.1)).toBeGreaterThan(UNLIKELY);
  });
});

test("a packet without payload is not corrupted, and is counted as spared", () => {
  bench.node.applyRules({});
  bench.apply(rule("ingress", { corrupt: 1 }));
  expect(bench.repeat("ingress", fromB(udp(PORTS)), 10)).toMatchObject({ packets: 10, corrupted: 0, spared: 10 });
  expect(bench.repeat("ingress", fromB(udp(PORTS, PAYLOAD)), 10)).toMatchObject({ corrupted: 10, spared: 0 });
});

describe("bursts", () => {
  const loss: Loss = { model: "burst", p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 };

  test("begin and end with their probabilities", () => {
    const match = { ports: [{ protocol: "UDP", side: "either" }] } as const;
    bench.node.applyRules({});
    bench.apply(rule("egress", { loss }, { seed: 11, match }));
    const fates = Array.from({ length: 40_000 }, () => bench.isLost("egress", toB6(udp(PORTS))));
    // with these losses a packet's fate shows the state, so each step is an independent draw
    const steps = fates.slice(1).map((bad, i) => ({ from: fates[i], to: bad }));
    const good = steps.filter(({ from }) => !from);
    const bad = steps.filter(({ from }) => from);
    expect(binomialTest(good.filter(({ to }) => to).length, good.length, loss.p)).toBeGreaterThan(UNLIKELY);
    expect(binomialTest(bad.filter(({ to }) => !to).length, bad.length, loss.r)).toBeGreaterThan(UNLIKELY);
    const begun = fates.filter((lost, i) => lost && !fates[i - 1]).length;
    expect(bench.use("egress")).toMatchObject({ lost: fates.filter(Boolean).length, bursts: begun });
  });
});
