import { describe, expect, test } from "vitest";
import { type ClusterState, type Endpoint, emptyState } from "../../model/cluster.ts";
import { compose } from "../../model/compose.ts";
import type { ProgramInForce } from "../../model/programs.ts";
import { impair } from "../impair/impair.ts";
import { limit } from "../limit/limit.ts";
import { router } from "../router/router.ts";
import { custom, customInstance, readCustomInstance } from "./custom.ts";

const BUILD = "0123456789ab";
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
const state = (builds: Record<string, ProgramInForce[]>, endpoints = [endpoint("a")]): ClusterState => ({
  ...emptyState({
    name: "n",
    overlay: "direct",
    addresses: ["192.0.2.1"],
    podCIDRs: ["10.244.1.0/24"],
    uplink: "eth0",
    mtu: 1450,
    vxlan: { port: 4789, vni: 1 },
  }),
  endpoints,
  builds: new Map(Object.entries(builds)),
});

describe("desired", () => {
  test.each([
    ["egress", "ingress"],
    ["ingress", "egress"],
  ] as const)("a program of the pod's %s sits in its port's %s chain, with its build", (direction, chain) => {
    const instance = `custom:weir-a:${direction}:${BUILD}`;
    expect(custom.desired(state({ "ns/a": [{ direction, build: BUILD }] }))).toEqual({
      instances: [{ name: instance, function: "custom", program: BUILD }],
      attach: [{ port: "router:weir-a", direction: chain, instance, order: 50 }],
    });
  });

  test("a pod without a network here, or without a program, adds nothing", () => {
    const gone = { "ns/gone": [{ direction: "egress" as const, build: BUILD }] };
    expect(custom.desired(state(gone))).toEqual({ instances: [], attach: [] });
  });

  test.each(["ingress", "egress"] as const)("program, then impairments, then the limit: %s", (direction) => {
    const all: ClusterState = {
      ...state({ "ns/a": [{ direction, build: BUILD }] }),
      limits: new Map([["ns/a", [{ direction, rate: 1e6, source: "bandwidth", configured: "" }]]]),
      impairments: new Map([
        [
          "ns/a",
          [
            {
              id: "loss",
              direction,
              source: "loss",
              configured: "",
              effects: { loss: { model: "uniform", probability: 0.1 } },
              match: {},
              exempt: { probes: true, dns: true },
            },
          ],
        ],
      ]),
    };
    const { ports } = compose([limit, impair, custom, router].map((one) => one.desired(all)));
    const port = ports.find(({ name }) => name === "weir-a");
    const chain = direction === "egress" ? port?.ingress : port?.egress;
    expect(chain?.map((instance) => instance.split(":")[0])).toEqual(["custom", "impair", "limit"]);
  });
});

test("an instance's name says whose it is; names of others say nothing", () => {
  const device = "weir0123456789a";
  const name = customInstance(device, "ingress", BUILD);
  expect(readCustomInstance(name)).toEqual({ port: device, direction: "ingress", build: BUILD });
  expect(`function:${name}`.length).toBeLessThan(56); // what a name may have in the kernel
  for (const other of ["limit:weir-a:egress", "custom", "custom:a:egress:xyz", "custom:a:both:0123456789ab"]) {
    expect(readCustomInstance(other)).toBeUndefined();
  }
});
