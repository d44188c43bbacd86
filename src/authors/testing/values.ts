import { DEFAULT_RULE_SETTINGS, type RuleSettings } from "../../model/limits.ts";
import type { NodeContext } from "../../model/node-context.ts";

/** Values that random changes choose from: few, so that changes meet, and with all that a pod's author may try. */

export const OWN_NODE: NodeContext = {
  name: "node-0",
  overlay: "vxlan",
  addresses: ["192.168.0.1", "fd00:192::1"],
  podCIDRs: ["10.244.0.0/24", "fd00:10:244:0::/64"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
  fq: true,
};

/** What a node may be configured or found to be. Each is laid over `OWN_NODE`. */
export const NODES: readonly Partial<NodeContext>[] = [
  {},
  { mtu: 1400, uplinkMtu: 1500 },
  { overlay: "direct" },
  { mode: "chained" },
  { fq: false },
  { addresses: ["192.168.0.1"], podCIDRs: ["10.244.0.0/24"] },
  { addresses: ["192.168.0.2", "fd00:192::1"] },
  { clusterCIDRs: ["10.0.0.0/8"], nodeCIDRs: ["192.168.0.0/30"] },
  { attached: ["10.244.2.0/24", "192.168.0.0/16"] },
];

export const SETTINGS: readonly RuleSettings[] = [
  {},
  { rateUnit: "megabytes" as const, defaultLease: 5 },
  { bandwidth: false, rate: false, calico: false },
  { kubernetes: false, loss: false, ebpfLimit: false },
].map((one) => ({ ...DEFAULT_RULE_SETTINGS, ...one }));

/** Own keys whatever their names: a literal's `__proto__` would be no key. */
const keys = (json: string): Record<string, string> => JSON.parse(json) as Record<string, string>;

export const ANNOTATIONS: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  { bandwidth: "1 mbps egress" },
  { bandwidth: "2 mbps ingress; 3 mbps egress", "weir.dev/bandwidth": "4 mbps egress" },
  { "kubernetes.io/ingress-bandwidth": "5M", "kubernetes.io/egress-bandwidth": "1.5G" },
  { "qos.projectcalico.org/ingressBandwidth": "7M", "weir.dev/egress-bandwidth": "512Ki" },
  { loss: "uniform egress 2%", "kubernetes.io/ingress-bandwidth": "5M" },
  { loss: "exponential ingress 300", "weir.dev/loss": "uniform egress 1%; uniform ingress 0.5%" },
  { "ebpf-limit": "drop egress" },
  { "weir.dev/ebpf-limit": "mark egress -DN=4; drop ingress" },
  // refused, or not what it looks like
  { bandwidth: "bad" },
  { bandwidth: "1 mbps egress; 2 mbps egress", loss: "uniform egress 101%" },
  { "kubernetes.io/egress-bandwidth": "1e999", "weir.dev/ebpf-limit": "../../etc/passwd egress -DN=$(reboot)" },
  { "kubernetes.io/egress-bandwidth": `${"9".repeat(300)}M`, loss: "uniform egress 2%\nuniform egress 3%" },
  { bandwith: "1 mbps egress", "weir.dev/los": "uniform egress 1%" },
  keys('{"__proto__": "1 mbps egress", "constructor": "5M", "toString": "x", "bandwidth": "\\u0000１ mbps egress"}'),
  { bandwidth: `1 mbps egress${" ".repeat(5000)}; ${"x".repeat(5000)}` },
];

export const LABELS: readonly Readonly<Record<string, string>>[] = [
  {},
  { app: "a" },
  { app: "b", rate: "3M" },
  { app: "a", tier: "x" },
  { app: "a", rate: "0M" },
  keys('{"__proto__": "a", "constructor": "a", "app": "a"}'),
];

export const SELECTORS: readonly object[] = [
  { matchLabels: {} },
  { matchLabels: { app: "a" } },
  { matchLabels: { tier: "x" } },
  { matchLabels: { app: "nobody" } },
  { matchExpressions: [{ key: "app", operator: "In", values: ["a", "b"] }] },
  { matchLabels: { app: "a" }, matchExpressions: [{ key: "tier", operator: "DoesNotExist" }] },
  { matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] },
  { matchExpressions: [{ key: "constructor", operator: "Exists" }] },
];

/** What a Namespace's labels are chosen by: its own, and the one that every namespace has. */
export const NAMESPACE_SELECTORS: readonly object[] = [
  { matchLabels: {} },
  { matchLabels: { app: "a" } },
  { matchLabels: { "kubernetes.io/metadata.name": "y" } },
  { matchExpressions: [{ key: "tier", operator: "Exists" }] },
];

/** Networks that Node objects claim, which overlap each other, the node's own and the cluster's bounds. */
export const CLAIMED: readonly string[] = [
  ...["10.244.0.0/24", "10.244.1.0/24", "10.244.1.128/25", "10.244.2.0/23", "10.244.2.0/24", "10.1.0.0/16"],
  ...["10.0.0.0/8", "0.0.0.0/0", "224.0.0.0/24"],
];
export const CLAIMED6: readonly string[] = [
  ...["fd00:10:244:0::/64", "fd00:10:244:9::/64", "fd00:10:244:9:8000::/65", "fd00:10::/32", "::/0"],
];
export const NODE_ADDRESSES: readonly (readonly string[])[] = [
  ...[["192.168.0.2"], ["192.168.0.3", "fd00:192::3"], ["192.168.0.3"], ["192.168.0.1"], ["fd00:192::4"]],
  ...[["127.0.0.1"], ["192.168.0.9"], []],
];
