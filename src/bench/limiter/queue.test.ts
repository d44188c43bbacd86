import { expect, test } from "vitest";
import { PROBE_BYTES, type Probe, probeGap } from "./probe.ts";
import { allQueues, judgeQueue, type QueueResult, queueName } from "./queue.ts";

test("a round of probes takes a tenth of a limit at most", () => {
  const bytes = Object.values(PROBE_BYTES).reduce((sum, more) => sum + more, 0);
  for (const rate of [1e6, 10e6, 1e9]) expect((8000 * bytes) / probeGap(rate)).toBeLessThan(0.1 * rate);
});

test("cases have unique names", () => {
  const all = allQueues();
  expect(new Set(all.map(queueName)).size).toBe(all.length);
});

const trips = (p50: number) => ({ count: 9, p50, p90: p50, p99: p50, max: p50, lost: 0 });
const all = (p50: number): Probe => ({ ping64: trips(p50), ping1000: trips(p50), request: trips(p50) });
const result: QueueResult = {
  rate: 1e9,
  direction: "ingress",
  load: "udp×1",
  name: "one",
  delay: { p50: 1, p99: 99, max: 150 },
  tail: 180,
  beside: all(290),
  idle: all(100),
  unlimited: all(200),
};
const verdicts = (change: Partial<QueueResult>): string[] =>
  judgeQueue({ ...result, ...change }).map(({ verdict }) => verdict);

test("results within their bounds hold; TCP has only probes", () => {
  expect(verdicts({})).toEqual(["holds", "holds", "holds", "holds", "holds"]);
  expect(verdicts({ delay: null, tail: null })).toEqual(["holds", "holds", "holds"]);
});

test("a long queue and late arrivals miss", () => {
  expect(verdicts({ delay: { p50: 1, p99: 101, max: 101 } })[0]).toBe("misses");
  expect(verdicts({ tail: 201 })[1]).toBe("misses");
});

test("a delayed probe misses, unless the same load delays it as much without a limit", () => {
  expect(verdicts({ beside: all(700) }).slice(2)).toEqual(["misses", "misses", "misses"]);
  expect(verdicts({ beside: all(500) }).slice(2)).toEqual(["shown", "shown", "shown"]);
});

test("a probe's own transmission time and negligible delays are not counted", () => {
  const slow = { rate: 1e6, beside: all(300 + 8 * 84 - 1) };
  expect(verdicts(slow)[2]).toBe("holds");
  expect(verdicts({ beside: all(45), idle: all(10) })[2]).toBe("holds");
});
