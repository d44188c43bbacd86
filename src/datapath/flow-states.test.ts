import { expect, test } from "vitest";
import { FLOW_STATES, FLOW_TIMEOUTS, flowSeconds, flowTime, flowUnits, timeoutsOf } from "./flow-states.ts";

test("every state has a time-out, and the table's row has room for more", () => {
  const row = timeoutsOf(FLOW_TIMEOUTS);
  expect(row).toHaveLength(16);
  expect(FLOW_STATES.map((state, i) => [state, row[i]])).toEqual(
    FLOW_STATES.map((state) => [state, flowUnits(FLOW_TIMEOUTS[state])]),
  );
});

test("an open half lives as long as an open connection", () => {
  expect(FLOW_TIMEOUTS["tcp-half-closed"]).toBe(FLOW_TIMEOUTS["tcp-established"]);
});

test.each([
  ["forwards", 100, 100 + 59.6046, 1],
  ["backwards", 160, 100, -1.0066],
  ["across the wrap of 32 bits", 0xfffffff0, 0x0000002c, 1.0066],
])("time %s", (_, from, to, seconds) => {
  expect(flowSeconds(from, to)).toBeCloseTo(seconds, 1);
});

test("units are those of the monotonic clock, and never none", () => {
  const now = Number(BigInt.asUintN(32, process.hrtime.bigint() >> 24n));
  expect(Math.abs(flowTime() - now)).toBeLessThan(600);
  expect([flowUnits(0), flowUnits(1), flowUnits(60)]).toEqual([1, 60, 3576]);
});
