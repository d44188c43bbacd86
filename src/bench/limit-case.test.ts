import { expect, test } from "vitest";
import { caseName, type Load, pingGap, rateText, writeLength } from "./limit-case.ts";

const load: Load = { direction: "egress", where: "same", family: 4, protocol: "tcp", congestion: "bbr", flows: 8 };

test.each([
  [undefined, 20],
  [5e9, 20],
  [100e6, 20],
  [10e6, 83],
  [1e6, 208],
])("ping-pong at %s leaves the rate to the flow: every %i ms", (rate, gap) => {
  expect(pingGap(rate)).toBe(gap);
});

test.each([
  [undefined, 131072],
  [5e9, 131072],
  [10e6, 12500],
  [1e6, 1250],
  [1000, 1000],
])("writes at %s are of %i bytes", (rate, bytes) => {
  expect(writeLength(load, rate, 1450)).toBe(bytes);
});

test("packets of UDP fill the MTU", () => {
  expect(writeLength({ ...load, protocol: "udp" }, 1e6, 1450)).toBe(1422);
  expect(writeLength({ ...load, protocol: "udp", family: 6 }, 1e6, 1450)).toBe(1402);
});

test("names", () => {
  expect([1e6, 37e6, 1e9, 1.5e9].map(rateText)).toEqual(["1M", "37M", "1G", "1.5G"]);
  expect(caseName({ ...load, rate: 37e6 })).toBe("37M egress same ipv4 bbr×8");
  expect(caseName({ ...load, protocol: "udp" })).toBe("unlimited egress same ipv4 udp");
});
