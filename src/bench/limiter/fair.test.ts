import { expect, test } from "vitest";
import { jain, judgeShare, type ShareResult, shareName, TCP_LAYER3, tcpRates, udpRate } from "./fair.ts";
import { allShares } from "./shares.ts";

test("Jain's index", () => {
  expect(jain([3, 3, 3, 3])).toBe(1);
  expect(jain([8, 0, 0, 0])).toBe(0.25);
  expect(jain([])).toBe(0);
});

test("rates of TCP flows are those of full intervals in the span, at layer 3", () => {
  const flows = (a: number, b: number): number[] => [a, b];
  const intervals = [
    { start: 0, end: 1, flows: flows(9e9, 9e9) },
    { start: 1, end: 2, flows: flows(1000, 3000) },
    { start: 2, end: 3, flows: flows(3000, 3000) },
    { start: 3, end: 3.1, flows: flows(9e9, 9e9) },
  ];
  expect(tcpRates(intervals, 1, 30)).toEqual([2000, 3000].map((bytes) => expect.closeTo(8 * bytes * TCP_LAYER3)));
});

test("the rate of datagrams in a span", () => {
  expect(udpRate({ bins: [...Array(10).fill(999), ...Array(20).fill(100)] }, 1, 3)).toBe(8000);
});

test("cases have unique names", () => {
  const all = allShares();
  expect(new Set(all.map(shareName)).size).toBe(all.length);
  expect(all.map(shareName)).toContain("fair 10M ingress cubic×8 udp");
});

const result: ShareResult = {
  name: "one",
  kind: "fair",
  rate: 10e6,
  direction: "ingress",
  tcp: { cubic: 1 },
  udp: true,
  flows: { cubic: [5e6], udp: [5e6] },
  retransmits: 0,
  marks: 0,
  dropped: null,
};
test.each([
  ["equal shares", {}, "holds"],
  ["a flow that has next to nothing", { flows: { cubic: [0.1e6], udp: [9.9e6] } }, "misses"],
  ["at 2 Mbit/s: half of a share", { rate: 2e6, flows: { cubic: [0.51e6], udp: [1.49e6] } }, "holds"],
  ["at 2 Mbit/s: less", { rate: 2e6, flows: { cubic: [0.49e6], udp: [1.5e6] } }, "misses"],
  ["a quarter beside many", { kind: "swarm", flows: { cubic: [2.6e6], udp: [7.4e6] } }, "holds"],
  ["less beside many", { kind: "swarm", flows: { cubic: [2.4e6], udp: [7.6e6] } }, "misses"],
  ["marks alone", { kind: "ecn", marks: 7 }, "holds"],
  ["no marks", { kind: "ecn" }, "misses"],
  ["no marks of what the pod itself sends", { kind: "ecn", direction: "egress" }, "holds"],
  ["losses", { kind: "ecn", marks: 7, retransmits: 1 }, "misses"],
] as const)("%s", (_, change, verdict) => {
  expect(judgeShare({ ...result, ...(change as Partial<ShareResult>) })).toMatchObject([{ verdict }]);
});
