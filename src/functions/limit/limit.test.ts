import { describe, expect, test } from "vitest";
import { type ClusterState, type Endpoint, emptyState } from "../../model/cluster.ts";
import type { LimitRule } from "../../model/limits.ts";
import { limit } from "./limit.ts";

const endpoint = (name: string): Endpoint => ({
  namespace: "ns",
  name,
  uid: name,
  netns: `/run/netns/${name}`,
  ifname: "eth0",
  device: `weir-${name}`,
  mac: "02:00:00:00:00:01",
  ips: ["10.244.1.2"],
});
const rule = (direction: LimitRule["direction"], rate: number): LimitRule => ({
  direction,
  rate,
  source: "bandwidth",
  configured: "",
});
const state = (limits: Record<string, LimitRule[]>, endpoints: Endpoint[]): ClusterState => ({
  ...emptyState({
    name: "n",
    overlay: "vxlan",
    addresses: [],
    podCIDRs: [],
    uplink: "eth0",
    mtu: 1450,
    vxlan: { port: 4789, vni: 1 },
  }),
  endpoints,
  limits: new Map(Object.entries(limits)),
});

describe("desired", () => {
  test.each([
    ["egress", "ingress"],
    ["ingress", "egress"],
  ] as const)("a limit of the pod's %s sits in its port's %s chain", (direction, chain) => {
    const { attach, shapers } = limit.desired(state({ "ns/a": [rule(direction, 5e6)] }, [endpoint("a")]));
    expect(attach).toEqual([
      { port: "router:weir-a", direction: chain, instance: `limit:weir-a:${direction}`, order: 100 },
    ]);
    const sender = direction === "egress" ? { sender: "weir-a" } : {};
    expect(shapers).toEqual([
      { owner: `limit:weir-a:${direction}`, device: "weir_shape0", rate: 5e6, mtu: 1450, ...sender },
    ]);
  });

  test("a pod without a network here, or without a rule, adds nothing", () => {
    const contribution = limit.desired(state({ "ns/gone": [rule("egress", 1e6)] }, [endpoint("a")]));
    expect(contribution).toEqual({ instances: [], attach: [], shapers: [], rows: [] });
  });

  test("is sorted, whatever the order of endpoints and rules", () => {
    const limits = { "ns/a": [rule("ingress", 1e6), rule("egress", 2e6)], "ns/b": [rule("egress", 3e6)] };
    const one = limit.desired(state(limits, [endpoint("a"), endpoint("b")]));
    const two = limit.desired(state(limits, [endpoint("b"), endpoint("a")]));
    expect(one).toEqual(two);
    expect(one.instances?.map((instance) => instance.name)).toEqual([
      "limit:weir-a:egress",
      "limit:weir-a:ingress",
      "limit:weir-b:egress",
    ]);
  });
});
