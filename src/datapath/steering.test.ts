import { expect, test } from "vitest";
import { Outcomes } from "./outcomes.ts";
import { Steering } from "./steering.ts";

function bench() {
  const outcomes = new Outcomes();
  const steered: string[] = [];
  let refusal: string | undefined;
  const steering = new Steering(outcomes, (device) => {
    steered.push(device);
    return refusal;
  });
  const indexes = new Map([["weir_shape1", 1]]);
  const ensure = (...devices: string[]) => {
    steering.ensure(new Map(devices.map((device) => [device, "Node/n"])), (device) => indexes.get(device));
    return steered.splice(0);
  };
  return { steering, outcomes, indexes, ensure, refuse: (reason: string | undefined) => (refusal = reason) };
}

test("a device is steered once, again when it is recreated, and when it appears", () => {
  const { indexes, ensure } = bench();
  expect(ensure("weir_shape1", "weir_delay1")).toEqual(["weir_shape1"]);
  expect(ensure("weir_shape1", "weir_delay1")).toEqual([]);
  indexes.set("weir_shape1", 2).set("weir_delay1", 3);
  expect(ensure("weir_shape1", "weir_delay1")).toEqual(["weir_shape1", "weir_delay1"]);
});

test("a refusal is a warning of its owner until it succeeds or the device goes, and is retried on request", () => {
  const { steering, outcomes, ensure, refuse } = bench();
  refuse("sysfs refuses it: EROFS");
  ensure("weir_shape1");
  const message = "packets of a flow may overtake each other: sysfs refuses it: EROFS";
  expect(outcomes.all()).toEqual([{ owner: "Node/n", code: "degraded", message, severity: "warning" }]);
  expect(ensure("weir_shape1")).toEqual([]);
  steering.doubt();
  refuse(undefined);
  expect(ensure("weir_shape1")).toEqual(["weir_shape1"]);
  expect(outcomes.all()).toEqual([]);
  expect(ensure("weir_shape1")).toEqual([]);
  steering.doubt(); // somebody else may have changed it
  expect(ensure("weir_shape1")).toEqual(["weir_shape1"]);
  refuse("no");
  ensure();
  ensure("weir_shape1");
  expect(outcomes.size).toBe(1);
  ensure();
  expect(outcomes.size).toBe(0);
});
