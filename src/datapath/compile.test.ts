import { describe, expect, test } from "vitest";
import type { Port } from "../model/document.ts";
import type { PortRows } from "./compile.ts";
import { compile, compileAll, type Ids } from "./testing/compile.ts";

const fixed: Ids = {
  port: (name) => ({ "r:a": 1, "r:b": 2, "s:x": 3 })[name] ?? 99,
  instance: (name) => ({ r: 10, s: 11, l1: 12, l2: 13 })[name] ?? 98,
  slot: (name) => ({ router: 1, limit: 2 })[name] ?? 97,
  device: (name) => ({ va: 100, vb: 200, vx: 300 })[name],
};
const instances = [
  { name: "r", function: "router" },
  { name: "s", function: "router" },
  { name: "l1", function: "limit" },
  { name: "l2", function: "limit" },
];
const port = (instance: string, name: string, extra: Partial<Port> = {}): Port => ({
  instance,
  name,
  peer: { kind: "none" },
  ingress: [],
  egress: [],
  ...extra,
});
/** The rows of the first of these ports. */
function first(ports: readonly [Port, ...Port[]], ids = fixed): PortRows {
  return compileAll({ instances, ports }, ids).get(`${ports[0].instance}:${ports[0].name}`) as PortRows;
}

describe("compile", () => {
  test("a port's ingress chain ends in its instance's function, its egress chain in its peer", () => {
    const a = port("r", "a", {
      peer: { kind: "device", device: "va", delivery: "peer" },
      entry: "va",
      ingress: ["l1"],
      egress: ["l2"],
    });
    expect(first([a])).toEqual({
      id: 1,
      entry: 100,
      ingress: [
        { op: "call", slot: 2, instance: 12, target: 0 },
        { op: "call", slot: 1, instance: 10, target: 0 },
      ],
      egress: [
        { op: "call", slot: 2, instance: 13, target: 0 },
        { op: "peer", slot: 0, instance: 0, target: 100 },
      ],
    });
  });

  test.each([
    ["no peer", { kind: "none" }, { op: "down", target: 0 }],
    ["the stack", { kind: "stack" }, { op: "stack", target: 0 }],
    ["another instance's port", { kind: "port", port: "s:x" }, { op: "jump", target: 96 }],
    ["a device that does not exist", { kind: "device", device: "no", delivery: "peer" }, { op: "down", target: 0 }],
    ["tunnels", { kind: "tunnel", device: "vx" }, { op: "tunnel", slot: 1, instance: 10, target: 300 }],
    ["a device's qdisc", { kind: "device", device: "vb", delivery: "redirect" }, { op: "redirect", target: 200 }],
  ] as const)("peer: %s", (_, peer, expected) => {
    expect(first([port("r", "a", { peer }), port("s", "x")]).egress.at(-1)).toMatchObject(expected);
  });

  test.each([
    ["peer", "redirect"],
    ["receive", "receive"],
  ] as const)("a device with an XDP program at its other end: %s becomes %s", (delivery, op) => {
    const ids = { ...fixed, isSeenByXdp: (device: string) => device === "va" };
    const to = (device: string) => port("r", "a", { peer: { kind: "device", device, delivery } });
    expect(first([to("va")], ids).egress.at(-1)).toMatchObject({ op, target: 100 });
    expect(first([to("vb")], ids).egress.at(-1)).toMatchObject({ op: delivery, target: 200 });
  });

  const none = () => {
    throw new Error("allocate instance id: all 15 are taken");
  };
  test.each<[string, Port, string, Ids?]>([
    ["no owner", port("gone", "a"), "no instance gone"],
    ["a chain of sixteen", port("r", "a", { ingress: Array(16).fill("l1") }), "at most 15"],
    ["no id left", port("r", "a"), "allocate instance id: all 15 are taken", { ...fixed, instance: none }],
  ])("a port with %s has no rows, and other ports do", (_, bad, message, ids) => {
    const other = port("s", "x");
    const of = (name: string): number => (name === "s" ? 11 : (ids ?? fixed).instance(name));
    const compiled = compile({ instances, ports: [bad, other] }, { ...fixed, instance: of });
    expect(compiled.get(`${bad.instance}:${bad.name}`)).toMatchObject({ message: expect.stringContaining(message) });
    expect(compiled.get("s:x")).toMatchObject({ id: 3 });
  });

  test("an instance that is not in force is left out of its chains", () => {
    const { egress } = first([port("r", "a", { egress: ["nobody", "l1"] })]);
    expect(egress.map(({ instance }) => instance)).toEqual([12, 0]);
  });

  test("a port whose peer does not exist is down", () => {
    expect(first([port("r", "a", { peer: { kind: "port", port: "s:none" } })]).egress.at(-1)?.op).toBe("down");
  });
});
