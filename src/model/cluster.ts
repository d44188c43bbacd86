import type { ImpairRule } from "./impair.ts";
import type { LimitRule } from "./limits.ts";
import { memo } from "./memo.ts";
import type { Node, Pod, Problem } from "./objects.ts";
import type { ProgramRule } from "./programs.ts";

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

/**
 * A pod of this node whose network somebody else made, and where Weir catches its packets: behind the node's end of its
 * veth pair, or, for a pod on its node's network, on the uplink by the cgroup of the socket.
 */
export interface Tap {
  namespace: string;
  name: string;
  uid: string;
  ips: readonly string[];
  /** `tap` and 11 hexadecimal digits of a hash of the uid: its port and its instances are named by it. */
  id: string;
  /** Device in the node's namespace; undefined for a pod on its node's network. */
  device?: string | undefined;
  /** Ids of the pod's cgroup (v2) and its depth, for a pod on its node's network. */
  cgroup?: { id: bigint; level: number } | undefined;
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
  /** Chained mode: pods of other networks. */
  taps: readonly Tap[];
  /** Rules in force by pod (`namespace/name`): the last good ones. */
  limits: ReadonlyMap<string, readonly LimitRule[]>;
  /** The same for impairments, in the order of their chain places. */
  impairments: ReadonlyMap<string, readonly ImpairRule[]>;
  /** The same for users' programs: at most one a direction. */
  programs: ReadonlyMap<string, readonly ProgramRule[]>;
  /** Programs that are compiled and accepted, by `programKey`: the function slot that holds them. */
  compiled: ReadonlyMap<string, string>;
  problems: readonly Problem[];
}

/** The state of a node of which nothing is known yet. */
export function emptyState(node: NodeContext): ClusterState {
  return {
    node,
    nodes: [],
    pods: [],
    endpoints: [],
    taps: [],
    limits: new Map(),
    impairments: new Map(),
    programs: new Map(),
    compiled: new Map(),
    problems: [],
  };
}

/** Where the rules of a pod act: a port with an ingress chain (what the pod sends) and an egress chain (what it receives). */
export interface PodPort {
  /** `namespace/name`. */
  key: string;
  /** Names instances: an endpoint's device or a tap's id. */
  id: string;
  /** `instance:port`. */
  port: string;
  /** Host-side device whose other end is the pod's own, made by Weir: its local sockets are charged for what waits. */
  sender?: string | undefined;
}

/** Ports of all pods whose packets pass Weir on this node, sorted by id. */
export function podPorts({ endpoints, taps }: Pick<ClusterState, "endpoints" | "taps">): PodPort[] {
  const ports = [...endpoints.map(endpointPort), ...taps.map(tapPort)];
  return ports.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

const endpointPort = memo(
  ({ namespace, name, device }: Endpoint): PodPort => ({
    key: `${namespace}/${name}`,
    id: device,
    port: `router:${device}`,
    sender: device,
  }),
);
const tapPort = memo(
  ({ namespace, name, id }: Tap): PodPort => ({ key: `${namespace}/${name}`, id, port: `wire:${id}` }),
);
