import { apiVersion } from "../../src/model/version.ts";
import { OWN } from "./node.ts";
import { impairment, limit, namespace, node, pod, service, slice } from "./objects.ts";

/** A dual-stack node of a cluster whose pods have rules of every kind and author, valid and invalid ones. */

export const ADDRESSES = ["192.0.2.1/24", "fd00:192::1/64"];

/** The administrator's list; its last entry is invalid. */
export const PROGRAMS = {
  programs: [
    { name: "drop-one-of", source: "drop-one-of.c", macros: [{ name: "N", min: 1, max: 1000, default: 100 }] },
    {
      ...{ name: "mark-dscp", source: "mark-dscp.c", directions: ["egress"] },
      macros: [{ name: "DSCP", min: 0, max: 63, required: true }],
    },
    { name: "gone", source: "gone.c" },
  ],
};

/** Pods with a network, in the order of their attachment. */
export const ATTACHED: readonly [namespace: string, name: string][] = [
  ...(["web", "db", "cache", "prog", "broken", "plain", "typo", "ruled", "hostile"].map((name) => ["shop", name]) as [
    string,
    string,
  ][]),
  ["other", "client"],
  ["other", "lonely"],
];

const own = node(OWN, ["192.0.2.1", "fd00:192::1"], ["10.244.1.0/24", "fd00:10:244:1::/64"], 5);

/** Other nodes: some claim networks of another node, or networks that no node may claim. */
export const NODES: readonly object[] = [
  own,
  node("n2", ["192.0.2.2", "fd00:192::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"], 1),
  node("n3", ["192.0.2.3"], ["10.244.3.0/24"], 2),
  node("takes-ours", ["192.0.2.1"], ["10.244.1.128/25", "fd00:10:244:4::/64"], 3),
  node("takes-n2", ["192.0.2.2"], ["10.244.2.0/24", "fd00:10:244:5::/64"], 4),
  node("takes-all", ["127.0.0.1", "fd00:192::6"], ["0.0.0.0/0", "fd00:10:244:6::/64"], 6),
  node("takes-far", ["169.254.0.7"], ["198.51.100.0/24", "fd00:10:244::/56"], 7),
  node("two-networks", ["192.0.2.10"], ["10.244.10.0/24", "10.244.11.0/24"], 9),
  node("overlay", ["192.0.2.8"], ["10.244.8.0/24"], 8),
];

const PODS: readonly object[] = [
  pod("web", {
    labels: { app: "web", tier: "front" },
    annotations: { bandwidth: "10 mbps egress; 20 mbps ingress", loss: "uniform egress 2%" },
  }),
  pod("db", {
    labels: { app: "db", rate: "25M" },
    annotations: {
      ...{ bandwidth: "50 mbps egress", "kubernetes.io/ingress-bandwidth": "10M" },
      "qos.projectcalico.org/ingressBandwidth": "10M",
    },
  }),
  pod("cache", { labels: { app: "cache", tier: "back" } }),
  pod("prog", {
    labels: { app: "prog" },
    annotations: {
      ...{ "ebpf-limit": "drop-one-of egress -DN=10", loss: "exponential ingress 300; uniform egress 0.5%" },
      "weir.dev/egress-bandwidth": "1500k",
    },
  }),
  pod("broken", {
    annotations: {
      ...{ bandwidth: "10 mpbs egress", "kubernetes.io/egress-bandwidth": "1G" },
      ...{ loss: "uniform egress 200%", "ebpf-limit": "nothing egress; mark-dscp ingress -DDSCP=1" },
    },
  }),
  pod("plain", { labels: { app: "plain" } }),
  pod("typo", {
    labels: { bandwidth: "10-mbps" },
    annotations: { "kubernetes.io/ingress-bandwith": "10M", "weir.dev/limit": "10M", "example.test/rate": "1M" },
    spec: { containers: [{ name: "c", image: "example.test/c:1", comand: ["sleep"] }] },
  }),
  pod("ruled", { annotations: { loss: "uniform egress 1%", "ebpf-limit": "drop-one-of ingress" } }),
  pod("hostile", {
    annotations: {
      bandwidth: "\u001b[2J10 mbps egress",
      loss: `uniform ${"x".repeat(300)}`,
      "ebpf-limit": "../x egress",
    },
  }),
  pod("unplugged", { annotations: { bandwidth: "1 mbps egress", loss: "uniform egress 1%" } }),
  pod("ended", { annotations: { bandwidth: "1 mbps egress" }, phase: "Succeeded" }),
  pod("hosted", { annotations: { bandwidth: "1 mbps egress" }, hostNetwork: true }),
  pod("far", { node: "n2", labels: { app: "far" }, ips: ["10.244.2.9", "fd00:10:244:2::9"] }),
  pod("client", { namespace: "other", labels: { role: "client" } }),
];

const SERVICES: readonly object[] = [
  service("web", { selector: { app: "web" }, clusterIP: "10.96.0.10" }, { bandwidth: "5 mbps egress" }),
  service(
    "back",
    { selector: { tier: "back" } },
    { loss: "uniform ingress 3%", "kubernetes.io/egress-bandwidth": "x" },
  ),
  service("marked", { selector: { app: "plain" } }, { "ebpf-limit": "mark-dscp egress -DDSCP=10" }),
  service("outside", {}),
  slice("outside", ["198.51.100.7", "198.51.100.8"]),
];

const RULES: readonly object[] = [
  limit("all", { selector: {}, ingress: "1G" }),
  limit("cache-a", { selector: { matchLabels: { app: "cache" } }, egress: "30M" }),
  limit("cache-b", { pod: "cache", egress: "40M" }),
  limit("front", {
    selector: { matchExpressions: [{ key: "tier", operator: "In", values: ["front"] }] },
    egress: "9M",
  }),
  limit("nobody", { pod: "nowhere", egress: "1M" }),
  limit("wrong", { egress: "1M" }),
  limit("small", { pod: "plain", egress: "10m" }),
  limit("lonely", { pod: "lonely", egress: "2M" }, "other"),
  impairment("burst", {
    ...{ service: "web", direction: "egress", loss: { burst: { p: "0.5%", r: "20%" } }, seed: 7, lease: "30s" },
    match: {
      peers: [
        { cidr: "10.0.0.0/8", except: ["10.128.0.0/9", "10.96.0.0/12"] },
        { podSelector: { matchLabels: { role: "client" } }, namespaceSelector: { matchLabels: { open: "yes" } } },
        { podSelector: { matchLabels: { app: "far" } } },
        { service: { name: "outside" } },
      ],
      ports: [{ protocol: "TCP", port: 5432 }, { protocol: "UDP", port: 1000, endPort: 2000 }, { protocol: "ICMP" }],
    },
  }),
  impairment("nobody", { pod: "db", loss: "1%", match: { peers: [{ podSelector: { matchLabels: { app: "no" } } }] } }),
  impairment("override", { pod: "ruled", loss: "5%", override: true, exempt: { probes: false } }),
  impairment("over", { pod: "cache", loss: "1%", until: "2020-01-01T00:00:00Z" }),
  impairment("later", { pod: "cache", duplicate: "1%", corrupt: "0.5%", until: "2099-01-01T00:00:00Z", lease: "10s" }),
  impairment("wrong", { pod: "cache", loss: "101%" }),
];

const OTHERS: readonly object[] = [
  namespace("shop", { env: "test" }),
  namespace("other", { open: "yes" }),
  { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "shop" }, data: { a: "b" } },
  {
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "front", namespace: "shop" } },
    spec: {
      selector: { matchLabels: { app: "front" } },
      template: {
        metadata: { labels: { app: "front" } },
        spec: { containers: [{ name: "c", image: "example.test/c:1" }] },
      },
    },
  },
  { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "door", namespace: "shop" }, spec: {} },
];

export const WORLD: readonly object[] = [...NODES, ...PODS, ...SERVICES, ...RULES, ...OTHERS];

/** Objects given to the API; the last one is in the folder too, where it has precedence. */
export const APPLIED: readonly object[] = [
  limit("given", { pod: "plain", egress: "3M" }),
  impairment("given", { pod: "plain", direction: "ingress", loss: { exponential: { threshold: 500 } } }),
  { apiVersion, kind: "Limit", metadata: { name: "all", namespace: "shop" }, spec: { selector: {}, ingress: "2G" } },
];
