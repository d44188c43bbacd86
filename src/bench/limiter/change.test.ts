import { describe, expect, test } from "vitest";
import { AFTER, type Change, type ChangeResult, changeName, evaluateChange } from "./change.ts";
import { judgeChange, needsAnew } from "./change-verdict.ts";
import { allChanges, ruleOf } from "./changes.ts";
import type { Glimpse } from "./glimpse.ts";

const change: Change = {
  rule: "loss",
  how: "annotation",
  limit: 100e6,
  direction: "ingress",
  where: "same",
  protocol: "udp",
  flows: 1,
};
const tcp = { protocol: "tcp", congestion: "cubic", flows: 8 } as const;

test("all rules, with a limit and without, in both directions, under every load", () => {
  const all = allChanges();
  expect(new Set(all.map(changeName)).size).toBe(all.length);
  expect(all.length).toBe(7 * 3 * 4);
  expect(changeName({ ...change, ...tcp })).toBe("loss annotation 100M ingress same cubic×8");
});

test.each([
  ["loss", "annotation", 0.001, { annotations: { loss: "uniform ingress 0.1%" } }],
  ["drop-one-of", "annotation", 400, { annotations: { "ebpf-limit": "drop-one-of ingress -DN=400" } }],
  ["loss", "Impairment", 0.01, { object: { spec: { pod: "p", direction: "ingress", loss: "1%" } } }],
  ["delay", "Impairment", 0.03, { object: { spec: { pod: "p", delay: { latency: "30ms" } } } }],
] as const)("%s by %s of %d as its author writes it", (rule, how, value, written) => {
  expect(ruleOf({ ...change, rule, how }, value, "p")).toMatchObject(written);
});

const EDITS = { came: 2000, changed: 5500, gone: 9000 };
const END = EDITS.gone + AFTER.tcp.end;

/** Readings and receipts every 20 ms, by the time in ms: `rate` in bit/s, `loss` of 10,000 packets a second. */
interface Course {
  rate?: (ms: number) => number;
  loss?: (ms: number) => number;
  late?: number;
  limited?: boolean;
  /** bit/s that the sender reaches; 20 % more than the limit unless told. */
  sent?: (ms: number) => number;
}
function seen({ rate = () => 100e6, loss = () => 0, late = 100, limited = true, sent }: Course = {}) {
  let [bytes, packets, hits, offered] = [0, 0, 0, 0];
  const times = Array.from({ length: END / 20 + 10 }, (_, i) => 20 * i);
  const readings = times.map((time) => {
    bytes += (rate(time) / 8) * 0.02;
    return { time, limit: limited ? bytes : null, received: bytes };
  });
  const valueAt = (time: number): number | null => {
    if (time < EDITS.came + late || time >= EDITS.gone + late) return null;
    return time < EDITS.changed + late ? 0.01 : 0.001;
  };
  const glimpses = times.map((time): Glimpse => {
    const value = valueAt(time);
    offered += ((sent?.(time) ?? 120e6) / 8) * 0.02;
    const none = { time, value, packets: 0, hits: 0, delayed: 0, waited: 0, enforced: true, offered };
    if (value === null) return none;
    packets += 200;
    hits += 200 * (loss(time) || value);
    return { ...none, packets, hits: Math.round(hits) };
  });
  const datagrams = { sent: 1000, received: 900, dropped: 90, lost: 6, queued: 4, backlogDrops: 0 };
  return { readings, glimpses, edits: EDITS, pauses: [], datagrams };
}

const verdict = (one: Change, of: Parameters<typeof evaluateChange>[1]): string =>
  judgeChange(evaluateChange(one, of)).verdict;

describe("evaluation of a case's readings", () => {
  test.each([
    ["all as it should be", {}, "holds"],
    ["an edit that takes 1.1 s", { late: 1100 }, "misses"],
    ["nothing for 1.2 s", { rate: (ms: number) => (ms > 6000 && ms < 7200 ? 0 : 100e6) }, "misses"],
    ["2.5 % more once the rule has gone", { rate: (ms: number) => (ms > 9000 ? 102.5e6 : 100e6) }, "misses"],
    ["slower for a second after it", { rate: (ms: number) => (ms > 9000 && ms < 9900 ? 60e6 : 100e6) }, "holds"],
    ["the first loss after the change too", { loss: () => 0.01 }, "misses"],
  ])("%s", (_, of, expected) => {
    expect(verdict(change, seen(of))).toBe(expected);
  });

  test("a gap caused by the sender is only shown", () => {
    const rate = (ms: number): number => (ms > 6000 && ms < 7200 ? 0 : 100e6);
    expect(verdict(change, seen({ rate, sent: rate }))).toBe("shown");
    expect(verdict({ ...change, ...tcp }, seen({ rate, sent: rate }))).toBe("misses");
  });

  test("TCP is judged from the third second", () => {
    const rate = (ms: number): number => (ms > 9000 && ms < 11_900 ? 60e6 : 100e6);
    expect([verdict({ ...change, ...tcp }, seen({ rate })), verdict(change, seen({ rate }))]).toEqual([
      "holds",
      "misses",
    ]);
  });

  test("a rate below the limit is only shown if it was too low before too; a rate above the limit misses", () => {
    expect(verdict(change, seen({ rate: () => 90e6 }))).toBe("shown");
    expect(verdict(change, seen({ rate: (ms) => (ms > 9000 ? 70e6 : 90e6) }))).toBe("misses");
    expect(verdict(change, seen({ rate: () => 110e6 }))).toBe("misses");
  });

  test("a limit is not expected to pass what was not sent; earlier bursts do not compensate", () => {
    const rate = (ms: number): number => (ms > 9000 ? 70e6 : 100e6);
    const pausing = (ms: number): number => (ms % 1000 < 700 ? 150e6 : 0);
    expect(verdict(change, seen({ rate, sent: rate }))).toBe("shown");
    expect(verdict(change, seen({ rate, sent: pausing }))).toBe("shown");
    expect(verdict(change, seen({ rate, sent: () => 90e6 }))).toBe("misses");
  });

  test("without a limit: a share of the rate before, or of the same load started again", () => {
    const free = { ...change, ...tcp, limit: null };
    const result = (share: number): ChangeResult =>
      evaluateChange(free, seen({ limited: false, rate: (ms) => (ms > 9000 ? share * 1e9 : 1e9) }));
    expect([needsAnew(result(0.92)), judgeChange(result(0.92)).verdict]).toEqual([false, "holds"]);
    expect(needsAnew(result(0.8))).toBe(true);
    expect(judgeChange({ ...result(0.8), anew: 0.85e9 })).toMatchObject({ verdict: "shown" });
    expect(judgeChange({ ...result(0.8), anew: 0.95e9 })).toMatchObject({ verdict: "misses" });
  });

  test("every datagram is accounted for; drops of full processor backlogs are only shown", () => {
    const of = seen();
    const missing = { ...of.datagrams, received: 897 };
    expect(verdict(change, { ...of, datagrams: missing })).toBe("misses");
    expect(verdict(change, { ...of, datagrams: { ...missing, backlogDrops: 3 } })).toBe("shown");
    expect(verdict(change, { ...of, datagrams: { ...missing, backlogDrops: 2 } })).toBe("misses");
    expect(verdict(change, { ...of, datagrams: { ...of.datagrams, received: 901 } })).toBe("misses");
  });

  test("a rule that this kernel does not support is only shown", () => {
    const of = seen();
    const glimpses = of.glimpses.map((one) => ({ ...one, enforced: one.value === null }));
    expect(verdict(change, { ...of, glimpses })).toBe("shown");
  });

  test.each([
    [0.0101, "holds"],
    [0.0131, "misses"],
    [0.0095, "misses"],
  ])("a delay of 10 ms that was %d s in the mean", (wait, expected) => {
    const result = evaluateChange({ ...change, rule: "delay" }, seen());
    const phases = [wait, 0.0301].map((mean) => ({ packets: 100, hits: 0, wait: mean }));
    expect(judgeChange({ ...result, inForce: [1, 1, 1], phases }).verdict).toBe(expected);
  });

  test.each([
    ["drop-one-of", 100, 25, "holds"],
    ["drop-one-of", 90, 25, "misses"],
    ["mark-dscp", 0, 0, "holds"],
    ["mark-dscp", 1, 0, "misses"],
  ] as const)("%s that dropped %d and %d of 10,000", (rule, first, second, expected) => {
    const result = evaluateChange({ ...change, rule }, seen());
    const phases = [first, second].map((hits) => ({ packets: 10_000, hits, wait: null }));
    expect(judgeChange({ ...result, inForce: [1, 1, 1], phases }).verdict).toBe(expected);
  });
});
