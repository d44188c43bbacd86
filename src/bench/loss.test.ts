import { expect, test } from "vitest";
import { runsOf, unset } from "./datagrams.ts";
import { finding, judgeBursts } from "./loss.ts";
import { caseName, cases, manifest } from "./loss-case.ts";

test("every setting, both directions, same node and across, both families", () => {
  const all = cases(false);
  expect(all).toHaveLength((7 + 5 + 3 + 1) * 8);
  expect(new Set(all.map(caseName)).size).toBe(all.length);
  expect(all.find(({ setting }) => setting === "exponential 200")?.expected).toBeCloseTo(0.367879, 6);
});

test("words choose cases by whole words of their names", () => {
  expect(cases(false, ["burst", "ingress", "ipv6"]).map(caseName)).toHaveLength(6);
  expect(cases(false, ["uniform", "2%", "across", "egress", "ipv4"]).map(caseName)).toEqual([
    "uniform 2% egress across ipv4",
  ]);
  expect(cases(false, ["nothing"])).toEqual([]);
});

test("a quick run has each direction once, and every kind", () => {
  const quick = cases(true);
  expect(new Set(quick.map(({ direction, to, family }) => `${direction} ${to} ${family}`)).size).toBe(8);
  expect(new Set(quick.map(({ what }) => what))).toEqual(new Set(["uniform", "exponential", "burst", "seed"]));
});

test("a rule only matches the measured datagrams", () => {
  const [one] = cases(false, ["burst", "r=20%", "ingress", "same", "ipv4"]);
  if (!one) throw new Error("no case");
  expect(JSON.parse(manifest(one, "near", 7009, 7)).spec).toEqual({
    pod: "near",
    direction: "ingress",
    loss: { burst: { p: "1%", r: "20%", lossGood: "0%", lossBad: "100%" } },
    match: { ports: [{ protocol: "UDP", port: 7009 }] },
    seed: 7,
  });
});

test("missing numbers, and the lengths of their runs", () => {
  const missing = unset(Buffer.from([0b11110000, 0b11111110]), 20);
  expect(missing).toEqual([0, 1, 2, 3, 8, 16, 17, 18, 19]);
  expect(runsOf(missing, 3)).toEqual([1, 0, 2]);
  expect(runsOf([], 2)).toEqual([0, 0]);
});

test("bursts of the right rate and the wrong lengths do not hold, nor do other seeds' losses", () => {
  const [burst] = cases(false, ["burst", "r=20%", "egress", "same", "ipv4"]);
  const [seed] = cases(false, ["seed", "egress", "same", "ipv4"]);
  if (burst?.loss.model !== "burst" || !seed) throw new Error("no case");
  const sent = 10_000;
  const evenly = Array.from({ length: 476 }, (_, i) => Math.floor((i * sent) / 476));
  const judged = judgeBursts(burst.loss, sent, evenly);
  expect(judged.p).toBeGreaterThan(1e-4);
  expect(judged.runsP).toBeLessThan(1e-4);
  const common = { packets: sent, sent, low: 0, high: 1, p: 0.5, backlogDrops: 0 };
  const verdict = (more: object, one = seed) => finding({ ...one, name: "x", lost: 476, ...common, ...more }).verdict;
  expect(verdict(judged, burst)).toBe("misses");
  expect(verdict({ repeats: true, differs: true })).toBe("holds");
  expect(verdict({ repeats: false, differs: true })).toBe("misses");
  expect(verdict({ repeats: true, differs: false })).toBe("misses");
  expect(verdict({ p: 1e-5 })).toBe("misses");
  expect(verdict({ p: 1e-5, backlogDrops: 1 })).toBe("shown");
});
