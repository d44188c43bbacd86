import { expect, test } from "vitest";
import { caseName } from "./limit-case.ts";
import { judgeCase, judgeEarly, selectCases } from "./matrix.ts";

test("the whole matrix has every rate under every load, each once", () => {
  const names = selectCases(false, []).map(caseName);
  expect(names).toHaveLength(10 * 5 * 2 * 2 * 2);
  expect(new Set(names).size).toBe(names.length);
});

test("words choose cases by whole words of their names", () => {
  const names = selectCases(false, ["1M", "ingress", "ipv6"]).map(caseName);
  expect(names).toHaveLength(10);
  expect(names.every((name) => /^1M ingress (same|across) ipv6 /.test(name))).toBe(true);
  expect(selectCases(false, ["nothing"])).toEqual([]);
});

interface Shares {
  /** bit/s. */
  asked?: number;
  rate: number;
  firstSecond?: number;
  unpaused?: { rate: number; seconds: number };
  unlimited?: number;
  /** µs. */
  p50?: number;
  p99?: number;
}

test.each<[string, Shares, string]>([
  ["in tolerance", { rate: 0.996 }, "holds"],
  ["less than asked for", { rate: 0.99 }, "misses"],
  ["more than asked for", { rate: 1.006, unpaused: { rate: 1, seconds: 20 } }, "misses"],
  ["less, but what BBR offered is held", { rate: 0.99, unpaused: { rate: 0.999, seconds: 20 } }, "shown"],
  [
    "less, at a rate that BBR can offer in its pauses too",
    { asked: 3e6, rate: 0.97, unpaused: { rate: 1, seconds: 20 } },
    "misses",
  ],
  ["less, and of what BBR offered too", { rate: 0.99, unpaused: { rate: 0.994, seconds: 20 } }, "misses"],
  ["less, and hardly a second without a pause", { rate: 0.99, unpaused: { rate: 1, seconds: 4 } }, "misses"],
  ["a pause beside a slow answer", { rate: 0.99, unpaused: { rate: 1, seconds: 20 }, p99: 2001 }, "misses"],
  ["a median of nothing that can be told", { rate: 1, p50: 49 }, "holds"],
  ["a median of more than three times the idle one", { rate: 1, p50: 310 }, "misses"],
  ["a burst at first", { rate: 1, firstSecond: 1.06 }, "misses"],
  ["a machine too small", { rate: 0.5, unlimited: 1.01 }, "shown"],
])(
  "a case with %s",
  (_, { asked = 5e9, rate, unpaused, firstSecond = 1, unlimited = 2, p50 = 70, p99 = 900 }, verdict) => {
    const load = {
      where: "same",
      family: 4,
      direction: "ingress",
      protocol: "tcp",
      congestion: "bbr",
      flows: 1,
    } as const;
    const trip = (middle: number, most: number) => ({
      count: 100,
      lost: 0,
      p50: middle,
      p90: 400,
      p99: most,
      max: most,
    });
    const result = (share: number) => ({
      rate: share * asked,
      firstSecond: firstSecond * asked,
      unpaused: unpaused && { ...unpaused, rate: unpaused.rate * asked },
      retransmits: 0,
      pingPong: trip(p50, p99),
    });
    const [finding] = judgeCase({
      ...load,
      rate: asked,
      name: "it",
      result: result(rate),
      unlimited: result(unlimited),
      idle: trip(10 ** (p50 < 50 ? 0 : 2), 900),
    });
    expect(finding).toMatchObject({ what: "it", verdict });
  },
);

test.each<[string, { early?: number; earlyGap?: number; rate?: number; unlimited?: number }, string[]]>([
  ["exact", { early: 1.004 }, ["holds"]],
  ["off", { early: 0.994 }, ["misses"]],
  ["off, while a processor stood still", { early: 0.994, earlyGap: 21 }, ["shown"]],
  ["off, on a machine too small", { early: 0.5, unlimited: 1.01 }, ["shown"]],
  ["below 10 Mbit/s", { early: 0.9, rate: 3e6 }, []],
  ["of an earlier run", {}, []],
])("seconds 2 to 6 that are %s", (_, { early, earlyGap = 0, rate = 10e6, unlimited = 2 }, verdicts) => {
  const trip = { count: 1, lost: 0, p50: 1, p90: 1, p99: 1, max: 1 };
  const result = { rate, firstSecond: rate, early: early && early * rate, retransmits: 0, pingPong: trip };
  const load = { where: "same", family: 4, direction: "ingress", protocol: "udp", flows: 1 } as const;
  const whole = { ...load, rate, name: "it", result, idle: trip, earlyGap };
  const findings = judgeEarly({ ...whole, unlimited: { ...result, rate: unlimited * rate } });
  expect(findings.map(({ verdict }) => verdict)).toEqual(verdicts);
});
