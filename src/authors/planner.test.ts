import { describe, expect, it } from "vitest";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import type { NodeContext, PodAttachment } from "../model/node-context.ts";
import type { Problem } from "../model/problem.ts";
import type { LastGood } from "../model/remembered.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { type Input, planned } from "./testing/plan.ts";

const node: NodeContext = {
  name: "node-1",
  overlay: "vxlan",
  addresses: ["192.168.0.1"],
  podCIDRs: ["10.244.1.0/24"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 7 },
};
type GivenInput = Omit<Input, "lastGood"> & { problems: readonly Problem[] };
const pod = (name: string, nodeName: string, metadata = "") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, uid: u-${name}${metadata}}\nspec: {nodeName: ${nodeName}, containers: [{name: c}]}\n`;
const limited = (name: string, nodeName: string, rule: string) =>
  pod(name, nodeName, `, annotations: {bandwidth: "${rule}"}`);
const endpoint = (name: string): PodAttachment => ({
  namespace: "shop",
  name,
  uid: `u-${name}`,
  netns: `/run/netns/${name}`,
  ifname: "eth0",
  device: `weir${name}`,
  mac: "02:00:00:00:00:01",
  ips: ["10.244.1.2"],
});
const input = (text: string, rest: Partial<GivenInput> = {}): GivenInput => {
  const { objects, problems } = parseManifests(text, "f.yaml");
  return { node, objects: objects.map((one) => one.object), problems, endpoints: [], ...rest };
};
const reduce = (lastGood: LastGood, given: GivenInput) => {
  const { state, lastGood: next } = planned(lastGood, given);
  const limits = Object.fromEntries(
    [...state.limits].map(([key, rules]) => [key, rules.map((rule) => `${rule.direction} ${rule.rate}`)]),
  );
  return { state, limits, next };
};
const none: LastGood = new Map();

describe("plans", () => {
  it("sorts rows and reads the rules of this node's pods", () => {
    const text = [limited("b", "node-1", "2 mbps egress"), limited("a", "node-2", "bad"), pod("c", "node-1")].join(
      "---\n",
    );
    const { state, limits } = reduce(none, input(text, { endpoints: [endpoint("c"), endpoint("b")] }));
    expect(state.pods.map((one) => one.metadata.name)).toEqual(["a", "b", "c"]);
    expect(state.endpoints.map((one) => one.name)).toEqual(["b", "c"]);
    expect(limits).toEqual({ "shop/b": ["egress 2000000"] });
    expect(state.problems).toEqual([]);
  });

  it.each(["Succeeded", "Failed"])("ignores the rules of a pod that has %s and is not attached", (phase) => {
    const text = `${limited("job", "node-1", "2 mbps egress")}status: {phase: ${phase}, podIPs: [{ip: 10.244.1.2}]}\n`;
    const held = reduce(none, input(text, { endpoints: [endpoint("job")] }));
    expect(held.limits).toEqual({ "shop/job": ["egress 2000000"] });
    const gone = reduce(held.next, input(text));
    expect(gone.limits).toEqual({});
    expect(gone.state.problems).toEqual([]);
    expect(gone.state.pods[0]).toMatchObject({ ended: phase });
    expect(gone.state.pods[0]).not.toHaveProperty("ips");
  });

  it("treats an unknown phase as running, and keeps the pod's rules", () => {
    const text = `${limited("a", "node-1", "2 mbps egress")}status: {phase: [Succeeded]}\n`;
    expect(reduce(none, input(text)).limits).toEqual({ "shop/a": ["egress 2000000"] });
  });

  it("keeps the last valid rule when the value becomes invalid, and drops it when the key is removed", () => {
    const first = reduce(none, input(limited("a", "node-1", "2 mbps egress")));
    const second = reduce(first.next, input(limited("a", "node-1", "2 mpbs egress")));
    expect(second.limits).toEqual(first.limits);
    expect(second.state.problems).toMatchObject([{ object: "Pod/shop/a", path: 'metadata.annotations["bandwidth"]' }]);
    const third = reduce(second.next, input(pod("a", "node-1")));
    expect([third.limits, third.next.size]).toEqual([{}, 0]);
  });

  it("keeps the limits of a pod whose object is deleted until the pod is detached", () => {
    const endpoints = [endpoint("a")];
    const first = reduce(none, input(limited("a", "node-1", "2 mbps egress"), { endpoints }));
    const second = reduce(first.next, input("", { endpoints }));
    expect(second.limits).toEqual({ "shop/a": ["egress 2000000"] });
    expect(reduce(second.next, input("")).limits).toEqual({});
  });

  it("applies the rule settings", () => {
    const settings = { ...DEFAULT_RULE_SETTINGS, bandwidth: false, rateUnit: "megabytes" } as const;
    const text = pod("a", "node-1", ', annotations: {bandwidth: "1 mbps egress"}, labels: {rate: 1M}');
    expect(reduce(none, input(text, { settings })).limits).toEqual({ "shop/a": ["egress 8000000"] });
  });

  it("reports objects that an agent does not act on", () => {
    const text = limited("a", "node-1", "1 mbps egress");
    const problem = { object: "x.yaml", message: "is broken" };
    expect(reduce(none, input(text, { problems: [problem] })).state.problems).toMatchObject([problem]);
  });

  it("accepts other nodes' valid claims, and reports the others with the reason", () => {
    const nodes = ["10.244.2.0/24", "10.244.2.0/25", "0.0.0.0/0"]
      .map((cidr, i) => `apiVersion: v1\nkind: Node\nmetadata: {name: peer-${i}}\nspec: {podCIDRs: ["${cidr}"]}\n`)
      .join("---\n");
    const { state } = reduce(none, input(nodes));
    expect(state.nodes.map(({ podCIDRs }) => podCIDRs)).toEqual([["10.244.2.0/24"], [], []]);
    expect(state.problems.map(({ object, path }) => `${object} ${path}`)).toEqual([
      "Node/peer-1 spec.podCIDRs[0]",
      "Node/peer-2 spec.podCIDRs[0]",
    ]);
  });

  it("is pure: equal input gives equal output, and the input is not modified", () => {
    const given = input(limited("a", "node-1", "2 mbps egress"));
    const before = structuredClone(given);
    expect(planned(none, given)).toEqual(planned(none, given));
    expect(given).toEqual(before);
    expect(none.size).toBe(0);
  });
});
