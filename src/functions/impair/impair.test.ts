import { describe, expect, test } from "vitest";
import { type ClusterState, type Endpoint, emptyState } from "../../model/cluster.ts";
import type { RowFields } from "../../model/desired.ts";
import type { Effects, ImpairRule } from "../../model/impair.ts";
import { impair, impairInstance } from "./impair.ts";

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
const LOSS: Effects = { loss: { model: "uniform", probability: 0.5 } };
const rule = (more: Partial<ImpairRule> = {}): ImpairRule => ({
  id: "loss",
  direction: "egress",
  source: "loss",
  configured: "",
  effects: LOSS,
  match: {},
  exempt: { probes: true, dns: true },
  ...more,
});
const state = (rules: ImpairRule[], fq = false): ClusterState => ({
  ...emptyState({
    name: "n",
    overlay: "vxlan",
    addresses: ["192.0.2.1", "2001:db8::1"],
    podCIDRs: [],
    uplink: "eth0",
    mtu: 1450,
    vxlan: { port: 4789, vni: 1 },
    fq,
  }),
  endpoints: [endpoint("a")],
  impairments: new Map([["ns/a", rules]]),
});
const rows = (given: ClusterState, table: string) =>
  (impair.desired(given).rows ?? []).filter((r) => r.table === table);
const value = (one: ImpairRule, fq = false): RowFields => rows(state([one], fq), "weir_impairs")[0]?.value ?? {};

describe("desired", () => {
  test.each([
    ["egress", "ingress"],
    ["ingress", "egress"],
  ] as const)("an impairment of the pod's %s sits in its port's %s chain", (direction, chain) => {
    const { attach } = impair.desired(state([rule({ direction })]));
    const instance = impairInstance("weir-a", direction, "loss");
    expect(attach).toMatchObject([{ port: "router:weir-a", direction: chain, instance }]);
    expect(attach?.[0]?.order).toBeGreaterThanOrEqual(75);
    expect(attach?.[0]?.order).toBeLessThan(100);
  });

  test("without rules there is nothing, not even the node's addresses", () => {
    expect(impair.desired(state([]))).toEqual({ links: [], instances: [], attach: [], leases: [], rows: [] });
  });

  test("rules keep their order and at most four of a direction act", () => {
    const ids = ["z", "y", "x", "w", "v"];
    const { attach = [] } = impair.desired(state(ids.map((id) => rule({ id }))));
    const sorted = attach.toSorted((a, b) => a.order - b.order);
    expect(sorted.map((one) => one.instance)).toEqual(
      ids.slice(0, 4).map((id) => impairInstance("weir-a", "egress", id)),
    );
  });

  test("an instance is named after its rule's id, in as many bytes as a name has", () => {
    const name = impairInstance("weir0123456789a", "ingress", "Impairment/ns/a-very-long-name-of-an-object");
    expect(name).toMatch(/^impair:weir0123456789a:ingress:[0-9a-f]{8}$/);
    expect(`instance:${name}`.length).toBeLessThan(56);
    expect(name).not.toBe(impairInstance("weir0123456789a", "ingress", "Impairment/ns/another"));
  });

  test("a selector that selects nobody impairs nothing", () => {
    expect(impair.desired(state([rule({ match: { peers: [] } })])).instances).toEqual([]);
  });

  test.each([
    [{ model: "uniform", probability: 1 }, { loss: 2n ** 32n }],
    [{ model: "uniform", probability: 1e-5 }, { loss: 42_950n }],
    [{ model: "exponential", threshold: 200 }, { loss: BigInt(Math.round(Math.exp(-1) * 2 ** 32)) }],
    [
      { model: "burst", p: 0.25, r: 0.5, lossGood: 0, lossBad: 1 },
      { loss: 0n, loss_bad: 2n ** 32n, to_bad: 2n ** 30n, to_good: 2n ** 31n },
    ],
  ] as const)("%j", (loss, fields) => {
    expect(value(rule({ effects: { loss } }))).toMatchObject(fields);
  });

  test("peers of both families are rows, and the node's own addresses where probes come from", () => {
    const given = state([rule({ match: { peers: ["10.0.0.0/8", "2001:db8::/32"] } })]);
    const keys = rows(given, "weir_impair_peers").map(({ key }) => [key["prefixlen"], typeof key["instance"]]);
    expect(keys).toEqual([
      [32 + 128, "number"],
      [32 + 128, "number"],
      [32 + 96 + 8, "object"],
      [32 + 32, "object"],
    ]);
  });

  test("the delaying device stays when the last delay goes: packets may wait in it", () => {
    const lossy = rule({ effects: LOSS });
    for (const rules of [[lossy], []]) {
      expect(impair.desired(state(rules, true)).links).toMatchObject([{ device: "weir_delay0" }]);
    }
  });

  test("a delay needs fq: without it the device is not made, and loss acts all the same", () => {
    const delayed = rule({ effects: { ...LOSS, delay: { base: 50e6, jitter: 0 } } });
    expect(impair.desired(state([delayed], true)).links).toMatchObject([{ device: "weir_delay0", qdisc: "fq" }]);
    expect(value(delayed, true)).toMatchObject({ device: { device: "weir_delay0" }, delay: 50_000_000n });
    expect(impair.desired(state([delayed])).links).toEqual([]);
    expect(value(delayed)).toMatchObject({ device: 0, loss: 2n ** 31n });
  });

  test("a change of seed or effects begins the sequence anew, a change of the match does not", () => {
    const epoch = (more: Partial<ImpairRule>) => value(rule({ seed: 1, ...more }))["epoch"];
    expect(epoch({})).toBe(epoch({ match: { peers: ["10.0.0.0/8"] } }));
    expect(epoch({})).not.toBe(epoch({ seed: 2 }));
    expect(epoch({})).not.toBe(epoch({ effects: { duplicate: 0.1 } }));
  });

  test("a lease is the instance's", () => {
    const { leases } = impair.desired(state([rule({ lease: { seconds: 30, until: 5 } })]));
    expect(leases).toEqual([{ instance: impairInstance("weir-a", "egress", "loss"), seconds: 30, until: 5 }]);
    expect(Number(value(rule({ lease: { seconds: 30 } }))["flags"]) & 2).toBe(2);
    expect(Number(value(rule())["flags"]) & 2).toBe(0);
  });
});
