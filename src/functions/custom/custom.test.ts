import { describe, expect, test } from "vitest";
import type { Direction } from "../../model/directions.ts";
import { customInstance, customItems, readCustomInstance } from "./custom.ts";

const BUILD = "0123456789ab";
const DIRECTIONS: [Direction, Direction][] = [
  ["egress", "ingress"],
  ["ingress", "egress"],
];

describe("items", () => {
  test.each(DIRECTIONS)("a program for the pod's %s is in its port's %s chain, with its build", (direction, chain) => {
    const instance = `custom:weir-a:${direction}:${BUILD}`;
    const at = { key: "ns/a", id: "weir-a", port: "router:weir-a" };
    expect(customItems(at, { direction, build: BUILD })).toEqual({
      instances: [{ name: instance, function: "custom", program: BUILD }],
      attach: [{ port: "router:weir-a", direction: chain, instance, order: 50 }],
    });
  });
});

test("an instance's name contains port, direction and build; other names are not parsed", () => {
  const device = "weir0123456789a";
  const name = customInstance(device, "ingress", BUILD);
  expect(readCustomInstance(name)).toEqual({ port: device, direction: "ingress", build: BUILD });
  expect(`function:${name}`.length).toBeLessThan(56); // what a name may have in the kernel
  for (const other of ["limit:weir-a:egress", "custom", "custom:a:egress:xyz", "custom:a:both:0123456789ab"]) {
    expect(readCustomInstance(other)).toBeUndefined();
  }
});
