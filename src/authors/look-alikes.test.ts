import { expect, test } from "vitest";
import type { NodeContext } from "../model/node-context.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { planned } from "./testing/plan.ts";

const node: NodeContext = {
  ...{ name: "n", overlay: "vxlan", addresses: [], podCIDRs: [], uplink: "eth0", mtu: 1450 },
  vxlan: { port: 4789, vni: 1 },
};
const metadata = (name: string, rest: object) => ({ name, namespace: "shop", ...rest });
const POD = {
  ...{ apiVersion: "v1", kind: "Pod", spec: { nodeName: "n", containers: [{ name: "c" }] } },
  metadata: metadata("a", {
    labels: { app: "web", "kubernetes.io/ingress-bandwidth": "10M" },
    annotations: { "Egress-Bandwith": "9M", bandwidth: "7 mbps egress" },
  }),
};
const SERVICE = {
  ...{ apiVersion: "v1", kind: "Service", spec: { selector: { app: "web" } } },
  metadata: metadata("s", { annotations: { "ingress-bandwith": "5M" } }),
};

test("keys that look like rules are problems of their pod or Service; valid rules beside them are in force", () => {
  const { objects } = parseManifests([POD, SERVICE].map((one) => JSON.stringify(one)).join("\n---\n"), "f.yaml");
  const input = { node, objects: objects.map(({ object }) => object), endpoints: [], problems: [] };
  const { state } = planned(new Map(), input);
  expect(state.limits.get("shop/a")).toMatchObject([{ source: "bandwidth", rate: 7e6 }]);
  expect(state.problems.map(({ object, path, message }) => `${object} ${path}: ${message}`)).toEqual([
    'Pod/shop/a metadata.annotations["Egress-Bandwith"]: does nothing; did you mean the annotation "kubernetes.io/egress-bandwidth"?',
    'Pod/shop/a metadata.labels["kubernetes.io/ingress-bandwidth"]: does nothing as a label; write it as an annotation',
    'Service/shop/s metadata.annotations["ingress-bandwith"]: does nothing; did you mean the annotation "kubernetes.io/ingress-bandwidth"?',
  ]);
});
