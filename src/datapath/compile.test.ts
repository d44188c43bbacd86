import { describe, expect, test } from "vitest";
import type { Port } from "../model/document.ts";
import { compile, type Ids, longestPath } from "./compile.ts";

const fixed: Ids = {
  port: (name) => ({ "r:a": 1, "r:b": 2, "s:x": 3 })[name] ?? 99,
  instance: (name) => ({ r: 10, s: 11, l1: 12, l2: 13 })[name] ?? 98,
  shaper: () => 96,
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

describe("compile", () => {
  test("a port's chains end in its function and its peer", () => {
    const a = port("r", "a", {
      peer: { kind: "device", device: "va", delivery: "peer" },
      entry: "va",
      ingress: ["l1"],
      egress: ["l2"],
    });
    const { hops, devices, problems } = compile({ instances, ports: [a] }, fixed);
    expect(problems).toEqual([]);
    expect([...devices]).toEqual([[100, 1]]);
    expect([...hops]).toEqual([
      [16, { op: "call", slot: 2, instance: 12, port: 1, target: 0 }],
      [17, { op: "call", slot: 1, instance: 10, port: 1, target: 0 }],
      [24, { op: "call", slot: 2, instance: 13, port: 1, target: 0 }],
      [25, { op: "peer", slot: 0, instance: 0, port: 1, target: 100 }],
    ]);
  });

  test.each([
    ["no peer", { kind: "none" }, { op: "down", target: 0 }],
    ["the stack", { kind: "stack" }, { op: "stack", target: 0 }],
    ["another instance's port", { kind: "port", port: "s:x" }, { op: "jump", target: 48 }],
    ["a device that does not exist", { kind: "device", device: "no", delivery: "peer" }, { op: "down", target: 0 }],
    ["a tunnel", { kind: "tunnel", device: "vx", vni: 7, remote: "192.0.2.1" }, { op: "tunnel", target: 300 }],
    ["a device's qdisc", { kind: "device", device: "vb", delivery: "redirect" }, { op: "redirect", target: 200 }],
  ] as const)("peer: %s", (_, peer, expected) => {
    const ports = [port("r", "a", { peer }), port("s", "x")];
    expect(compile({ instances, ports }, fixed).hops.get(24)).toMatchObject(expected);
  });

  test.each([
    ["peer", "redirect"],
    ["receive", "receive"],
  ] as const)("a device with an XDP program at its other end: %s becomes %s", (delivery, op) => {
    const ids = { ...fixed, isSeenByXdp: (device: string) => device === "va" };
    const to = (device: string) => port("r", "a", { peer: { kind: "device", device, delivery } });
    expect(compile({ instances, ports: [to("va")] }, ids).hops.get(24)).toMatchObject({ op, target: 100 });
    expect(compile({ instances, ports: [to("vb")] }, ids).hops.get(24)).toMatchObject({ op: delivery, target: 200 });
  });

  test.each([
    ["no owner", port("gone", "a"), "no instance gone"],
    ["an unknown function in a chain", port("r", "a", { egress: ["nobody"] }), "no instance nobody"],
    ["a chain of eight", port("r", "a", { ingress: Array(8).fill("l1") }), "at most 7"],
    ["a peer that is not there", port("r", "a", { peer: { kind: "port", port: "s:none" } }), "no port s:none"],
  ])("refuses %s", (_, bad, message) => {
    expect(compile({ instances, ports: [bad] }, fixed).problems[0]?.message).toContain(message);
  });
});

test("the longest path counts chains and instances, and circles end", () => {
  const ports = [
    port("r", "a", { entry: "va", ingress: ["l1"], egress: ["l2"] }),
    port("r", "b", { peer: { kind: "port", port: "s:x" }, egress: ["l1", "l2"] }),
    port("s", "x", { peer: { kind: "port", port: "r:b" }, ingress: ["l1"] }),
  ];
  // l1, r, then b's l1 and l2, then x's l1, s
  expect(longestPath({ instances, ports })).toBe(6);
});
