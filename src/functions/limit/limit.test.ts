import { describe, expect, test } from "vitest";
import type { Direction } from "../../model/directions.ts";
import { limitItems } from "./limit.ts";

const DIRECTIONS: [Direction, Direction][] = [
  ["egress", "ingress"],
  ["ingress", "egress"],
];

describe("items", () => {
  test.each(DIRECTIONS)("a limit of the pod's %s is in its port's %s chain", (direction, chain) => {
    const at = { key: "ns/a", id: "weir-a", port: "router:weir-a" };
    const { attach, shapers } = limitItems(at, { direction, rate: 5e6, source: "bandwidth", configured: "" }, 1450);
    expect(attach).toEqual([
      { port: "router:weir-a", direction: chain, instance: `limit:weir-a:${direction}`, order: 100 },
    ]);
    const sender = direction === "egress" ? { sender: "weir-a" } : {};
    expect(shapers).toEqual([
      { instance: `limit:weir-a:${direction}`, device: "weir_shape0", rate: 5e6, mtu: 1450, ...sender },
    ]);
  });
});
