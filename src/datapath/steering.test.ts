import { expect, test, vi } from "vitest";
import { delayLinks, panelLinks } from "../model/panel.ts";
import { queueEnds, Steering } from "./steering.ts";

const NONE = "the kernel has no packet steering: use one with CONFIG_RPS";
const WARNING = { object: "device a1", message: `packets of a flow may overtake each other: ${NONE}` };

test("flows are steered behind the queues of limits and delays, where there are any", () => {
  const shaper = { owner: "limit:weir0:egress", device: "weir_shape0", rate: 1e6, mtu: 1500 };
  expect(queueEnds({ links: panelLinks(), shapers: [] })).toEqual([]);
  expect(queueEnds({ links: panelLinks(), shapers: [shaper] })).toEqual(["weir_shape1"]);
  expect(queueEnds({ links: [...panelLinks(), ...delayLinks()], shapers: [] })).toEqual(["weir_delay1"]);
});

test("a device is steered once, and again if it was made anew", () => {
  const steer = vi.fn(() => undefined);
  const steering = new Steering(steer);
  for (const ifindex of [undefined, 7, 7, 9]) steering.ensure(["a1"], () => ifindex);
  expect(steer.mock.calls).toEqual([["a1"], ["a1"]]);
  expect(steering.warnings).toEqual([]);
});

test("a refusal is a warning until it is over, and goes with its device", () => {
  let refusal: string | undefined = NONE;
  const steer = vi.fn((_device: string) => refusal);
  const steering = new Steering(steer);
  const pass = (...devices: string[]) => steering.ensure(devices, () => 7);
  pass("a1");
  pass("a1");
  expect(steering.warnings).toEqual([WARNING]);
  expect(steer).toHaveBeenCalledOnce();
  pass();
  expect(steering.warnings).toEqual([]);
  pass("a1");
  refusal = undefined;
  steering.forget();
  pass("a1");
  expect(steering.warnings).toEqual([]);
  steering.forget();
  pass("a1");
  expect(steer).toHaveBeenCalledTimes(3);
});
