import { describe, expect, test } from "vitest";
import { plannerOf } from "../../authors/testing/plan.ts";
import type { NodeContext } from "../../model/node-context.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import { type ProgramState, stateKey } from "../programs.ts";
import { programItems } from "./programs.ts";

const NODE: NodeContext = {
  ...{ name: "n", overlay: "vxlan", addresses: [], podCIDRs: [], uplink: "eth0", mtu: 1450 },
  vxlan: { port: 4789, vni: 1 },
};
const metadata = { name: "a", namespace: "ns", uid: "u", annotations: { "ebpf-limit": "drop egress" } };
const POD = { apiVersion: "v1", kind: "Pod", metadata, spec: { nodeName: "n", containers: [{ name: "c" }] } };
const device = "weir0123456789a";
const endpoint = { namespace: "ns", name: "a", uid: "u", netns: "/x", ifname: "eth0", device, mac: "", ips: [] };
const USE = { packets: 10, bytes: 1000, dropped: 3, other: 1 };
const NOTHING = { packets: 0, bytes: 0, dropped: 0, other: 0 };
const BUILD = "0123456789ab";

function item(stands: ProgramState | undefined, { here = true, fault = "" } = {}) {
  const objects = parseManifests(JSON.stringify(POD), "x.json").objects.map(({ object }) => object);
  const planner = plannerOf({ node: NODE, objects, endpoints: here ? [endpoint] : [] });
  const states = new Map(stands ? [[stateKey("ns/a", "egress"), stands]] : []);
  const programs = { builds: new Map(), problems: [], states, pending: new Set<string>() };
  const [found] = programItems(planner, programs, () => [], {
    use: () => USE,
    fault: () => fault || undefined,
  });
  return found;
}

describe("a receipt", () => {
  test.each<[string, ProgramState | undefined, object, object]>([
    [
      "in force",
      { state: "ready", build: BUILD, effective: "drop -DN=1", reason: undefined },
      {},
      { ...USE, state: "active", effective: "drop -DN=1", build: BUILD, reason: null },
    ],
    [
      "being made, nothing before",
      { state: "compiling", build: undefined, effective: undefined, reason: "it is being compiled" },
      {},
      { ...NOTHING, state: "compiling", build: null, reason: "it is being compiled" },
    ],
    [
      "refused, another before",
      { state: "refused", build: BUILD, effective: "drop", reason: "the verifier refuses" },
      {},
      { ...USE, state: "refused", effective: "drop", reason: "the verifier refuses" },
    ],
    [
      "refused, one of an earlier agent before",
      { state: "refused", build: BUILD, effective: undefined, reason: "no" },
      {},
      { ...USE, state: "refused", effective: null, build: BUILD },
    ],
    [
      "not loaded by the kernel",
      { state: "ready", build: BUILD, effective: "drop", reason: undefined },
      { fault: "ENOMEM" },
      { ...NOTHING, state: "not enforced", build: null, reason: "not enforced: ENOMEM" },
    ],
    [
      "of a pod without a network here",
      { state: "ready", build: undefined, effective: undefined, reason: undefined },
      { here: false },
      { ...NOTHING, state: "not enforced", reason: "not enforced: the pod has no network of Weir's on this node" },
    ],
    ["before the first pass", undefined, {}, { ...NOTHING, state: "not enforced" }],
  ])("%s", (_what, stands, options, expected) => {
    const common = {
      namespace: "ns",
      pod: "a",
      direction: "egress",
      source: "ebpf-limit",
      program: "drop",
      configured: "drop egress",
    };
    expect(item(stands, options)).toMatchObject({ ...common, ...expected });
  });
});
