import { expect, test } from "vitest";
import { plannerOf } from "../../authors/testing/plan.ts";
import { Memory } from "../../datapath/testing/memory.ts";
import type { NodeContext } from "../../model/node-context.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import type { Agent } from "../agent.ts";
import type { Knowledge } from "../knowledge.ts";
import type { AgentParts } from "../parts.ts";
import { Standing } from "../standing.ts";
import { podItems } from "./pods.ts";

const node: NodeContext = {
  ...{ name: "n1", overlay: "vxlan", addresses: [], podCIDRs: [], uplink: "eth0", mtu: 1450 },
  vxlan: { port: 4789, vni: 1 },
};

test("an overruled rule is a warning, since the winner is in force", () => {
  const annotations = { bandwidth: "30 mbps ingress", "kubernetes.io/ingress-bandwidth": "10M" };
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "n", uid: "u", annotations } };
  const text = JSON.stringify({ ...pod, spec: { nodeName: "n1", containers: [{ name: "c" }] } });
  const planner = plannerOf({ node, objects: parseManifests(text, "x.json").objects.map(({ object }) => object) });
  const parts = { datapath: new Memory({ tables: {}, functions: [] }).datapath() } as AgentParts;
  const standing = new Standing(parts, planner, { problems: () => [], found: [], faults: [] } as unknown as Knowledge);
  const agent = { planner, standing, parts, programs: { pending: new Set() } } as unknown as Agent;
  expect(podItems(agent)).toMatchObject([{ namespace: "n", name: "p", problems: [{ severity: "warning" }] }]);
});
