import type { Endpoint, HostPod, NodeContext, Tap } from "../../model/cluster.ts";
import { objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Random } from "../../model/testing/random.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import type { Planner } from "../planner.ts";

export const NODE: NodeContext = {
  name: "node-0",
  overlay: "vxlan",
  addresses: ["192.168.0.1", "fd00:192::1"],
  podCIDRs: ["10.244.0.0/24", "fd00:10:244:0::/64"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
  fq: true,
};

/** One change of an input, which can be applied to any planner. */
export interface RandomChange {
  /** Of two changes with the same subject, the later replaces the earlier. */
  subject: string;
  tell(planner: Planner): void;
}

const ANNOTATIONS: readonly Record<string, string>[] = [
  {},
  { bandwidth: "1 mbps egress" },
  { bandwidth: "bad" },
  { loss: "uniform egress 2%", "kubernetes.io/ingress-bandwidth": "5M" },
  { "ebpf-limit": "drop egress" },
  { bandwith: "1 mbps egress" },
];
const LABELS = [{}, { app: "a" }, { app: "b", rate: "3M" }, { app: "a", tier: "x" }];
const SELECTORS = [{}, { app: "a" }, { tier: "x" }, { app: "nobody" }];
const EXTRA: readonly string[] = ["10.1.0.0/16", "10.244.1.0/24", "0.0.0.0/0", "fd00:10:244:9::/64"];

/**
 * A random change among few objects with few values, so that changes affect each other. @param now ms since the epoch
 */
export function randomChange(random: Random, now: number): RandomChange {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const name = `n${random(4)}`;
  const namespace = pick(["x", "y"]);
  const key = `${namespace}/${name}`;
  const put = (kind: string, metadata: object, rest: object, apiVersion = "v1"): RandomChange =>
    object(
      {
        apiVersion,
        kind,
        metadata: { name, ...(kind !== "Node" && kind !== "Namespace" && { namespace }), ...metadata },
        ...rest,
      },
      random,
    );
  const choice = () =>
    pick([{ pod: name }, { selector: { matchLabels: pick(SELECTORS) } }, { service: `n${random(4)}` }]);
  const until = () => (random(2) === 0 ? {} : { until: new Date(now + 1000 * random(60)).toISOString() });
  const weir = "weir.dev/v1alpha1";
  const changes: (() => RandomChange)[] = [
    () =>
      put(
        "Pod",
        { uid: `u${random(2)}`, labels: pick(LABELS), annotations: pick(ANNOTATIONS) },
        {
          spec: { nodeName: `node-${random(2)}`, hostNetwork: random(5) === 0, containers: [{ name: "c" }] },
          status: { phase: pick(["Running", "Running", "Succeeded"]), podIPs: [{ ip: `10.244.0.${2 + random(6)}` }] },
        },
      ),
    () =>
      put(
        "Service",
        { annotations: pick(ANNOTATIONS) },
        { spec: { selector: pick(SELECTORS), clusterIP: "10.96.0.1" } },
      ),
    () =>
      put(
        "Limit",
        {},
        { spec: { ...choice(), egress: pick(["1M", "2M"]), ...(random(2) && { ingress: "9M" }) } },
        weir,
      ),
    () =>
      put(
        "Impairment",
        {},
        { spec: { ...choice(), ...until(), direction: pick(["both", "egress"]), ...impairment(pick) } },
        weir,
      ),
    () => put("Namespace", { name: namespace, labels: pick(LABELS) }, {}),
    () =>
      put(
        "Node",
        { name: `node-${random(4)}`, creationTimestamp: `2026-01-0${1 + random(3)}T00:00:00Z` },
        {
          spec: { podCIDRs: [`10.244.${random(4)}.0/24`, pick(EXTRA)] },
          status: { addresses: [{ type: "InternalIP", address: `192.168.0.${1 + random(4)}` }] },
        },
      ),
    () =>
      put(
        "EndpointSlice",
        { labels: { "kubernetes.io/service-name": `n${random(4)}` } },
        { addressType: "IPv4", endpoints: [{ addresses: [`10.9.0.${random(3)}`] }] },
        "discovery.k8s.io/v1",
      ),
    () => ({
      subject: `attachment ${key}`,
      tell: (
        (one) => (planner) =>
          planner.cluster.putAttachment(key, one)
      )(random(4) === 0 ? undefined : endpoint(namespace, name, random)),
    }),
    () => row("taps", key, random(3) === 0 ? tap(namespace, name) : undefined),
    () => row("hosts", key, random(3) === 0 ? host(namespace, name) : undefined),
    () =>
      row(
        "builds",
        key,
        random(2) === 0 ? [{ direction: pick(["ingress", "egress"] as const), build: "0123456789ab" }] : undefined,
      ),
    () => ({
      subject: "node",
      tell: (
        (mtu, overlay) => (planner) =>
          void planner.cluster.node.set("node", { ...NODE, mtu, overlay })
      )(pick([1400, 1450]), pick(["vxlan", "vxlan", "direct"] as const)),
    }),
  ];
  return pick(changes)();
}

function impairment(pick: <T>(list: readonly T[]) => T): object {
  const peers = pick([
    undefined,
    [{ podSelector: { matchLabels: pick(SELECTORS) } }],
    [{ podSelector: {}, namespaceSelector: { matchLabels: pick(LABELS) } }, { cidr: "10.0.0.0/30" }],
    [{ service: { name: "n1" } }],
  ]);
  return {
    ...pick([{ loss: "1%" }, { delay: { latency: "5ms" } }, { duplicate: "2%" }]),
    ...(peers && { match: { peers } }),
  };
}

function object(
  document: { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } },
  random: Random,
): RandomChange {
  const key = objectKey(document.kind, document.metadata);
  const parsed = parseManifests(JSON.stringify(document), "random", "agent").objects[0]?.object as ManifestObject;
  const one = random(4) === 0 ? undefined : parsed;
  return { subject: key, tell: (planner) => planner.cluster.put(key, one) };
}

function row(kind: "taps" | "hosts" | "builds", key: string, value: unknown): RandomChange {
  return {
    subject: `${kind} ${key}`,
    tell: ({ cluster }) =>
      void (value === undefined ? cluster[kind].delete(key) : cluster[kind].set(key, value as never)),
  };
}

const endpoint = (namespace: string, name: string, random: Random): Endpoint => ({
  ...{ namespace, name, uid: `u${random(2)}`, netns: `/run/netns/${name}`, ifname: "eth0" },
  ...{ device: `weir${namespace}${name}`, mac: "02:00:00:00:00:01", ips: [`10.244.0.${2 + random(6)}`] },
});
const tap = (namespace: string, name: string): Tap => ({ namespace, name, device: `veth${name}`, ips: ["10.1.0.9"] });
const host = (namespace: string, name: string): HostPod => ({
  ...{ namespace, name, id: `host${namespace}${name}`, device: "eth0", mtu: 1500, cgroup: 7n, ips: ["192.168.0.1"] },
});
