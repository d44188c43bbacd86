import { expect, test } from "vitest";
import type { NodeContext } from "../model/node-context.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { Planner } from "./planner.ts";

const node: NodeContext = {
  ...{ name: "n1", overlay: "vxlan", addresses: ["192.0.2.1"], podCIDRs: ["10.244.1.0/24"] },
  ...{ uplink: "eth0", mtu: 1450, vxlan: { port: 4789, vni: 1 } },
};
const object = (kind: string, name: string, spec: object, apiVersion = "weir.dev/v1alpha1") => ({
  ...{ apiVersion, kind, metadata: { name, namespace: "shop" }, spec },
});
const impairment = (name: string, spec: object, peers: object[]) =>
  object("Impairment", name, { pod: "a", ...spec, match: { peers } });
/** A /16 without 64 of its addresses, which is some 7,000 networks. */
const holed = (_: unknown, peer: number) => {
  const base = (0x2000 + peer).toString(16);
  const hole = (_: unknown, index: number) => `${base}:${index + 1}:7::${index + 2}/128`;
  return { cidr: `${base}::/16`, except: Array.from({ length: 64 }, hole) };
};

test("peers that are too many networks match nobody, and cost only their object", () => {
  const planner = new Planner({ node, maxChain: 15 });
  const objects = [
    object("Pod", "a", { nodeName: "n1", containers: [{ name: "c" }] }, "v1"),
    impairment("good", { loss: "1%" }, [{ cidr: "10.0.0.0/8" }]),
    impairment("greedy", { duplicate: "1%" }, Array.from({ length: 64 }, holed)),
  ];
  const parsed = parseManifests(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }), "list", "agent");
  for (const { object: one } of parsed.objects) {
    planner.cluster.put(`${one.kind}/shop/${one.metadata.name}`, one);
  }
  planner.settle(0);
  const rules = planner.rules.impairments.get("shop/a")?.rules ?? [];
  const egress = rules.filter(({ direction }) => direction === "egress");
  expect(egress.map(({ source, match }) => [source, match.peers])).toEqual([
    ["Impairment/shop/good", ["10.0.0.0/8"]],
    ["Impairment/shop/greedy", []],
  ]);
  const message = "they are more than 32768 networks, so the peers match nobody; name fewer, or larger ones";
  expect(planner.problems()).toEqual([{ object: "Impairment/shop/greedy", path: "spec.match.peers", message }]);
});
