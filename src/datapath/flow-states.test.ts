import { expect, test } from "vitest";
import { FLOW_STATES, FLOW_TIMEOUTS, flowSeconds, flowTime, flowUnits, timeoutsOf } from "./flow-states.ts";

test("every state has a timeout, and the row of timeouts has spare room", () => {
  const row = timeoutsOf(FLOW_TIMEOUTS);
  expect(row).toHaveLength(16);
  expect(FLOW_STATES.map((state, i) => [state, row[i]])).toEqual(
    FLOW_STATES.map((state) => [state, flowUnits(FLOW_TIMEOUTS[state])]),
  );
});

test("a half-closed connection has the timeout of an open one", () => {
  expect(FLOW_TIMEOUTS["tcp-half-closed"]).toBe(FLOW_TIMEOUTS["tcp-established"]);
});

test.each([
  ["forwards", 100, 160, 8.0531],
  ["backwards", 160, 100, -8.0531],
  ["across the wrap of 32 bits", 0xfffffff0, 0x0000002c, 8.0531],
])("time %s", (_, from, to, seconds) => {
  expect(flowSeconds(from, to)).toBeCloseTo(seconds, 1);
});

test("timeouts are in units of the monotonic clock, and at least one", () => {
  const now = Number(BigInt.asUintN(32, process.hrtime.bigint() >> 27n));
  expect(Math.abs(flowTime() - now)).toBeLessThan(75);
  expect([flowUnits(0), flowUnits(1), flowUnits(60)]).toEqual([1, 7, 447]);
});
