import type { ImpairRule } from "./impair.ts";
import type { LimitRule } from "./limits.ts";
import { memo } from "./memo.ts";
import type { Node, Pod, Problem } from "./objects.ts";
import type { ProgramInForce, ProgramRule } from "./programs.ts";

/** A pod of this node whose network a runtime (the lab, a CNI plugin) asked Weir for. */
export interface Endpoint {
  namespace: string;
  name: string;
  uid: string;
  /** Path of the pod's network namespace, e.g. `/run/netns/x`. */
  netns: string;
  /** Device name inside the pod, normally `eth0`. */
  ifname: string;
  /** Host-side device: `weir` and 11 hexadecimal digits of a hash over what identifies the pod and its namespace. */
  device: string;
  mac: string;
  /** Addresses without prefix length: at most one of each family. */
  ips: readonly string[];
}

/** What the agent knows of its own node. */
export interface NodeContext {
  name: string;
  overlay: "vxlan" | "direct";
  addresses: readonly string[];
  podCIDRs: readonly string[];
  /** Underlay device, e.g. `eth0`. */
  uplink: string;
  /** MTU of pods' devices, bytes at layer 3. */
  mtu: number;
  vxlan: { port: number; vni: number };
  /** The kernel has the fq qdisc: packets can be delayed and paced. */
  fq?: boolean | undefined;
}

/** All that the planner sees. Plain and immutable. */
export interface ClusterState {
  node: NodeContext;
  nodes: readonly Node[];
  pods: readonly Pod[];
  endpoints: readonly Endpoint[];
  /** Rules in force by pod (`namespace/name`): the last good ones. */
  limits: ReadonlyMap<string, readonly LimitRule[]>;
  /** The same for impairments, in the order of their chain places. */
  impairments: ReadonlyMap<string, readonly ImpairRule[]>;
  /** The same for users' programs, at most one a direction. */
  programs: ReadonlyMap<string, readonly ProgramRule[]>;
  /** What stands for them in the datapath: those that the kernel has taken, or the ones before. */
  builds: ReadonlyMap<string, readonly ProgramInForce[]>;
  problems: readonly Problem[];
}

/** The state of a node of which nothing is known yet. */
export function emptyState(node: NodeContext): ClusterState {
  return {
    node,
    nodes: [],
    pods: [],
    endpoints: [],
    limits: new Map(),
    impairments: new Map(),
    programs: new Map(),
    builds: new Map(),
    problems: [],
  };
}

/** Where the rules of a pod act: a port with an ingress chain (what the pod sends) and an egress chain (what it receives). */
export interface PodPort {
  /** `namespace/name`. */
  key: string;
  /** Host-side device: instances are named by it. */
  id: string;
  /** `instance:port`. */
  port: string;
}

/** Ports of all pods whose packets pass Weir on this node, sorted by id. */
export function podPorts({ endpoints }: Pick<ClusterState, "endpoints">): readonly PodPort[] {
  return portsOf(endpoints);
}

const portsOf = memo((endpoints: readonly Endpoint[]): readonly PodPort[] =>
  endpoints.map((one) => podPort(one)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
);

const podPort = memo(
  ({ namespace, name, device }: Endpoint): PodPort => ({
    key: `${namespace}/${name}`,
    id: device,
    port: `router:${device}`,
  }),
);
