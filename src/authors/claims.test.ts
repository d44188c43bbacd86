import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NodeContext } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { Store } from "../store/store.ts";
import { BoundNodes } from "./claims.ts";
import { NODE } from "./cluster.ts";

const own: NodeContext = {
  name: "node-1",
  overlay: "vxlan",
  addresses: ["192.168.0.1", "fd00:192::1"],
  podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
  attached: ["192.168.0.0/24"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
const node = (name: string, claims: Partial<Node>): Node => ({
  kind: "Node",
  metadata: { name, labels: {}, annotations: {} },
  addresses: [],
  podCIDRs: [],
  ...claims,
});
const good = node("node-2", {
  addresses: ["192.168.0.2", "fd00:192::2"],
  podCIDRs: ["10.244.2.0/24", "fd00:10:244:2::/64"],
});
function bind(context: NodeContext) {
  const store = new Store();
  const node = store.source<NodeContext>("node");
  const nodes = store.source<Node>("nodes");
  const bound = store.step("bound nodes", (place) => new BoundNodes("bound nodes", place, node, nodes));
  node.set(NODE, context);
  return { store, node, nodes, bound };
}

function boundNodes(context: NodeContext, all: readonly Node[]): { nodes: Node[]; problems: Problem[] } {
  const { store, nodes, bound } = bind(context);
  for (const one of all) nodes.set(one.metadata.name, one);
  store.settle(0);
  return {
    nodes: all.flatMap(({ metadata }) => bound.get(metadata.name) ?? []),
    problems: all.flatMap(({ metadata }) => bound.problems.get(metadata.name) ?? []),
  };
}

/** The claims that are refused, and the problems reported. */
function judge(nodes: readonly Node[], context: Partial<NodeContext> = {}) {
  const { nodes: bound, problems } = boundNodes({ ...own, ...context }, nodes);
  const left = new Set(bound.flatMap(({ addresses, podCIDRs }) => [...addresses, ...podCIDRs]));
  return {
    taken: [...left],
    said: problems.map(({ object, path, message }) => `${object} ${path}: ${message}`),
  };
}

test("nodes of an ordinary cluster keep all their addresses and CIDRs", () => {
  const nodes = [node("node-1", own), good, node("node-255", { podCIDRs: ["10.244.255.0/24", "fd00:10:244:ff::/64"] })];
  const { nodes: bound, problems } = boundNodes(own, nodes);
  expect(problems).toEqual([]);
  expect(bound.every((one, index) => one === nodes[index])).toBe(true);
});

describe("a pod CIDR is refused", () => {
  const cluster = "is outside of the cluster's pods' networks";
  test.each([
    ["everything", "0.0.0.0/0", `0.0.0.0/0 ${cluster} 10.244.0.0/16`],
    ["all of IPv6", "::/0", `::/0 ${cluster} fd00:10:244::/56`],
    ["half of everything", "128.0.0.0/1", cluster],
    ["services", "10.96.0.0/12", cluster],
    ["somebody's servers", "8.8.8.0/24", cluster],
    ["the whole cluster", "10.244.0.0/16", "overlaps 10.244.1.0/24, Node/node-1's"],
    ["this node's pods", "10.244.1.0/24", "is already Node/node-1's"],
    ["a part of this node's pods", "10.244.1.128/25", "overlaps 10.244.1.0/24, Node/node-1's"],
    ["another node's pods", "10.244.2.0/24", "is already Node/node-2's"],
    ["around another node's pods", "10.244.2.0/23", "overlaps 10.244.2.0/24, Node/node-2's"],
    ["another node's pods of IPv6", "fd00:10:244:2:8000::/65", "overlaps fd00:10:244:2::/64, Node/node-2's"],
  ])("%s", (_name, cidr, reason) => {
    const { taken, said } = judge([good, node("zz", { podCIDRs: [cidr] })]);
    expect(taken).toEqual([...good.addresses, ...good.podCIDRs]);
    expect(said).toEqual([expect.stringContaining(`Node/zz spec.podCIDRs[0]: ${cidr} `)]);
    expect(said[0]).toContain(reason);
  });

  test("if it overlaps a network on this node's devices", () => {
    const { taken, said } = judge([node("zz", { podCIDRs: ["10.244.200.64/26"] })], { attached: ["10.244.200.0/24"] });
    expect(taken).toEqual([]);
    expect(said.join()).toContain("overlaps a network of this node's devices");
  });

  test("if this node's pods have no address of its family", () => {
    const { taken, said } = judge([good], { podCIDRs: ["10.244.1.0/24"] });
    expect(taken).toEqual([...good.addresses, "10.244.2.0/24"]);
    expect(said.join()).toContain("is of IPv6, of which this node's pods have nothing");
  });
});

describe("a node address is refused", () => {
  test.each([
    ["this node's", "192.168.0.1", "is already Node/node-1's"],
    ["another node's", "192.168.0.2", "is already Node/node-2's"],
    ["a pod's of this node", "10.244.1.9", "overlaps 10.244.1.0/24, Node/node-1's"],
    ["a pod's of another node", "10.244.2.9", "overlaps 10.244.2.0/24, Node/node-2's"],
    ["loopback", "127.0.0.9", "is no node's address"],
    ["multicast", "ff02::1", "is no node's address"],
    ["broadcast", "255.255.255.255", "is no node's address"],
    ["outside of nodeCIDRs", "8.8.8.8", "is outside of the configured nodeCIDRs"],
  ])("%s", (_name, address, reason) => {
    const nodes = [good, node("zz", { addresses: [address], podCIDRs: ["10.244.3.0/24"] })];
    const { taken, said } = judge(nodes, { nodeCIDRs: ["192.168.0.0/24", "10.0.0.0/8", "fd00:192::/64"] });
    expect(taken).toEqual([...good.addresses, ...good.podCIDRs, "10.244.3.0/24"]);
    expect(said).toEqual([expect.stringContaining(`Node/zz status.addresses[0]: ${address} ${reason}`)]);
  });
});

test("a pod CIDR that contains the node's own address is refused: its tunnel would lead into itself", () => {
  const { taken, said } = judge([node("node-3", { addresses: ["10.244.3.1"], podCIDRs: ["10.244.3.0/24"] })]);
  expect(taken).toEqual(["10.244.3.1"]);
  expect(said.join()).toContain("10.244.3.0/24 overlaps 10.244.3.1, its own");
});

test("of two nodes with overlapping CIDRs the older one keeps its own, whatever their names", () => {
  const old = { ...good, createdAt: "2026-01-01T00:00:00Z" };
  const thief = node("aaa", { podCIDRs: ["10.244.2.0/24"], createdAt: "2026-01-02T00:00:00Z" });
  for (const nodes of [
    [thief, old],
    [old, thief],
  ]) {
    const { nodes: bound, problems } = boundNodes(own, nodes);
    expect(bound.find(({ metadata }) => metadata.name === "aaa")?.podCIDRs).toEqual([]);
    expect(bound).toContain(old);
    expect(problems.map(({ object, message }) => `${object} ${message}`)).toEqual([
      "Node/aaa 10.244.2.0/24 is already Node/node-2's: no pod is reached there",
    ]);
  }
});

test("an unparsable CIDR or address is refused alone", () => {
  const { taken, said } = judge([node("zz", { addresses: ["x"], podCIDRs: ["10.244.9.0/99", "10.244.3.0/24"] }), good]);
  expect(taken).toEqual(["10.244.3.0/24", ...good.addresses, ...good.podCIDRs]);
  expect(said).toEqual([
    "Node/zz status.addresses[0]: x cannot be read: not reached there",
    "Node/zz spec.podCIDRs[0]: 10.244.9.0/99 cannot be read: no pod is reached there",
  ]);
});

test("configured clusterCIDRs replace the derived one, whatever their size", () => {
  const clusterCIDRs = ["10.244.0.0/16", "10.96.0.0/16", "fd00:10:244::/48"];
  const nodes = [node("wide", { podCIDRs: ["10.96.0.0/20", "fd00:10:244:8000::/64"] })];
  expect(judge(nodes, { clusterCIDRs })).toEqual({ taken: nodes[0]?.podCIDRs, said: [] });
  expect(judge([node("far", { podCIDRs: ["10.97.0.0/24"] })], { clusterCIDRs }).said.join()).toContain(
    "10.244.0.0/16, 10.96.0.0/16",
  );
});

test("own Node object with other pod CIDRs than the agent uses: a problem, since other nodes use the object's", () => {
  const { said } = judge([node("node-1", { podCIDRs: ["10.244.9.0/24"] })]);
  expect(said).toEqual([expect.stringContaining("Node/node-1 spec.podCIDRs: other nodes send to this node's pods in")]);
});

test("own Node object with another address than the node has: a problem, since other nodes use the object's", () => {
  const { said } = judge([node("node-1", { addresses: ["192.168.0.9", "fd00:192::1"] })]);
  expect(said).toEqual([
    "Node/node-1 status.addresses: other nodes reach this node at 192.168.0.9, but its address is 192.168.0.1",
  ]);
});

test("in mode chained no claim is checked", () => {
  const nodes = [node("zz", { podCIDRs: ["0.0.0.0/0"] })];
  expect(boundNodes({ ...own, mode: "chained" }, nodes)).toEqual({ nodes, problems: [] });
});

test("claims judged incrementally equal claims judged from nothing", () => {
  const cidr = fc.constantFrom(
    ...["10.244.0.0/16", "10.244.2.0/23", "10.244.2.0/24", "10.244.3.0/24", "10.244.2.128/25", "10.244.3.7/32"],
    ...["10.244.1.0/24", "fd00:10:244:2::/64", "fd00:10:244:2::/65", "0.0.0.0/0"],
  );
  const address = fc.constantFrom("10.244.2.9", "10.244.3.7", "192.168.0.2", "192.168.0.3", "192.168.0.1");
  const name = fc.constantFrom("a", "b", "c", "d", "e", "node-1");
  const change = fc.record({
    name,
    addresses: fc.array(address, { maxLength: 2 }),
    podCIDRs: fc.array(cidr, { maxLength: 3 }),
    createdAt: fc.option(fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), { nil: undefined }),
    gone: fc.boolean(),
  });
  const batches = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { maxLength: 20 });
  fc.assert(
    fc.property(batches, (all) => {
      const { store, nodes, bound } = bind(own);
      for (const batch of all) {
        for (const { name: one, gone, ...claims } of batch) {
          if (gone) nodes.delete(one);
          else nodes.set(one, node(one, claims));
        }
        store.settle(0);
      }
      const fresh = boundNodes(
        own,
        [...nodes.rows()].map(([, one]) => one),
      );
      const known = [...nodes.rows()].map(([key]) => key);
      expect(known.map((key) => bound.get(key))).toEqual(fresh.nodes);
      expect(known.flatMap((key) => bound.problems.get(key) ?? [])).toEqual(fresh.problems);
      expect(bound.size).toBe(known.length);
    }),
    { numRuns: 1000 },
  );
});

test("a changed node only causes nodes with overlapping claims to be judged again", () => {
  const { store, nodes } = bind(own);
  for (let n = 2; n < 200; n++) nodes.set(`n${n}`, node(`n${n}`, { podCIDRs: [`10.244.${n}.0/24`] }));
  store.settle(0);
  nodes.set("n7", node("n7", { podCIDRs: ["10.244.201.0/24"] }));
  expect(store.settle(0)).toBe(1);
  nodes.set("n8", node("n8", { podCIDRs: ["10.244.7.0/24", "10.244.9.0/24"] }));
  expect(store.settle(0)).toBe(2); // n9 is judged again too: n8 sorts before it
});
