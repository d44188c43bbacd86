import { isDeepStrictEqual } from "node:util";
import { outcomeOf, plannerOf } from "../../src/authors/testing/plan.ts";
import { planPods, withoutUids } from "../../src/lab/binding.ts";
import { nodeObject } from "../../src/lab/cluster.ts";
import { Images } from "../../src/lab/images.ts";
import { commandProblems } from "../../src/lab/launch.ts";
import { podManifest } from "../../src/lab/manifest.ts";
import { volumeProblems } from "../../src/lab/volumes.ts";
import { resolveContainer } from "../../src/model/environment.ts";
import { podKey } from "../../src/model/names.ts";
import type { PodAttachment } from "../../src/model/node-context.ts";
import type { ConfigMap, ManifestObject, Pod, Secret } from "../../src/model/objects.ts";
import { expandWorkloads, schedule } from "../../src/model/workloads/index.ts";
import { parseManifests } from "../../src/sources/manifests/index.ts";

const NODE = {
  name: "node-1",
  overlay: "vxlan" as const,
  addresses: ["192.168.0.1"],
  podCIDRs: ["10.244.0.0/16"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
  fq: true,
};
const NODES = [{ name: "node-1", addresses: ["192.168.0.1/24"], podCIDRs: NODE.podCIDRs }];
const IMAGES = new Images("/nonexistent", {}, "/");
const NOW = Date.parse("2026-01-02T03:04:05Z");

/** A pod and a Limit in a namespace of their own, which no document of the fuzz test refers to. */
export const GOOD = [
  {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "good", namespace: "safe", annotations: { bandwidth: "10 mbps egress" } },
    spec: { nodeName: "node-1", containers: [{ name: "c", command: ["sleep", "infinity"] }] },
  },
  {
    apiVersion: "weir.dev/v1alpha1",
    kind: "Limit",
    metadata: { name: "good", namespace: "safe" },
    spec: { pod: "good", ingress: "7M" },
  },
];

/** The numbers of documents that were read, refused with their name, or ignored. */
export interface Outcome {
  read: number;
  refused: number;
}

/**
 * Passes documents through the way of a file in a lab's or an agent's folder: parse, expand, schedule, pass to the
 * agent, plan and compose. Throws if any step throws, if the valid objects give another result than alone, or if a pod
 * has lost its rule because of a field that agents do not use.
 */
export function check(
  documents: readonly unknown[],
  { keepsRule = [], handsOut = true }: { keepsRule?: readonly string[]; handsOut?: boolean } = {},
): Outcome {
  const all = [...(documents as Written[]), ...GOOD];
  const inLab = parse(all, "lab");
  // Of other kinds an agent reads the same objects as a lab.
  const isPod = ({ kind }: Written): boolean => kind === "Pod";
  const given = [
    ...(all.some(isPod) ? parse(all.filter(isPod), "agent").objects : []),
    ...inLab.objects.filter(({ object: { kind } }) => kind !== "Pod" && !WORKLOADS.has(kind)),
  ].map(({ object }) => object);
  const pods = placed(inLab.objects.map(({ object }) => object));
  const made = handsOut ? handedOut(pods) : pods;
  const named = new Set(given.map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`));
  const others = made.filter(({ metadata }) => !named.has(`Pod/${metadata.namespace}/${metadata.name}`));
  const { limits, chains } = outcome([...given, ...others]);
  const found = { rules: limits.get("safe/good"), chain: chains.get("safe/good") };
  alone ??= aloneOf();
  if (!isDeepStrictEqual(found, alone)) throw new Error(`the good pod has ${JSON.stringify(found)}`);
  if (!made.some(({ metadata }) => podKey(metadata) === "safe/good")) throw new Error("the good pod has no node");
  for (const name of keepsRule) {
    if (!limits.has(`default/${name}`)) throw new Error(`pod ${name} has lost its rule`);
  }
  return { read: inLab.objects.length - GOOD.length, refused: inLab.refused.size };
}

const WORKLOADS = new Set(["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"]);
type Written = { kind?: unknown };

function parse(items: readonly unknown[], reader: "lab" | "agent") {
  const parsed = parseManifests(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "f.json", reader);
  const fault = parsed.problems.find(({ message }) => message.includes("a fault of Weir"));
  if (fault) throw new Error(fault.message);
  return parsed;
}

type Good = { rules: unknown; chain: unknown };
let alone: Good | undefined;
function aloneOf(): Good {
  const { limits, chains } = outcome(parse(GOOD, "agent").objects.map(({ object }) => object));
  return { rules: limits.get("safe/good"), chain: chains.get("safe/good") };
}

/** The pods that a lab makes of objects, each with a node. */
function placed(objects: readonly ManifestObject[]): readonly Pod[] {
  const nodes = NODES.map((node) => nodeObject(node as unknown as Parameters<typeof nodeObject>[0]));
  const clock = { since: NOW - 300_000, now: NOW };
  const { pods } = expandWorkloads({ objects: withoutUids(objects), nodes, clock });
  const scheduled = schedule(pods, nodes, new Map()).pods;
  const configs = objects.filter((one): one is ConfigMap | Secret => one.kind === "ConfigMap" || one.kind === "Secret");
  for (const pod of scheduled) {
    volumeProblems(pod);
    for (const one of pod.containers) resolveContainer(pod, one, configs, { podIPs: ["10.0.0.1"], hostIPs: [] });
  }
  commandProblems(scheduled, IMAGES);
  return scheduled;
}

/** Bound pods as agents read them from the lab. */
function handedOut(scheduled: readonly Pod[]): Pod[] {
  const bound = [...planPods(new Map(), scheduled, () => "1").bound.values()];
  return bound.map((one) => {
    const { objects: read, problems } = parseManifests(podManifest(one, ["10.244.1.1"]), "pod.yaml", "agent");
    const [pod] = read;
    if (pod?.object.kind === "Pod" && read.length === 1 && problems.every(({ severity }) => severity))
      return pod.object;
    throw new Error(`an agent cannot read what it is handed: ${JSON.stringify(problems)}`);
  });
}

/** The state that an agent of node-1 would enforce: rules and chains by pod. */
function outcome(objects: readonly ManifestObject[]) {
  const pods = objects.filter((one): one is Pod => one.kind === "Pod" && one.nodeName === "node-1");
  const endpoints = pods.map(({ metadata: { namespace, name } }, index): PodAttachment => {
    const device = `weir${index.toString(16).padStart(11, "0")}`;
    const ip = `10.244.${(index >> 8) & 255}.${index & 255}`;
    return { namespace, name, uid: "u", netns: "/n", ifname: "eth0", device, mac: "02:00:00:00:00:01", ips: [ip] };
  });
  const planner = plannerOf({ node: NODE, objects, endpoints, now: NOW });
  planner.take();
  const { ports } = planner.composer;
  const chains = new Map(
    endpoints.map(({ namespace, name, device }) => {
      const port = ports.get(`router:${device}`)?.item;
      return [`${namespace}/${name}`, { ingress: port?.ingress.length, egress: port?.egress.length }];
    }),
  );
  return { limits: outcomeOf(planner).limits, chains };
}
