import type { ImpairRule } from "./impair.ts";
import type { LimitRule } from "./limits.ts";
import { memo } from "./memo.ts";
import type { Node, Pod, Problem } from "./objects.ts";
import type { Overruled } from "./precedence.ts";
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
  /** The runtime's id of the pod's sandbox, if it told one. */
  sandbox?: string | undefined;
  /** Host-side device: `weir` and 11 hexadecimal digits of a hash over what identifies the pod and its namespace. */
  device: string;
  mac: string;
  /** Addresses without prefix length: at most one of each family. */
  ips: readonly string[];
}

/** A pod of this node whose network is another's: Weir sees its packets on the device that the network made for it. */
export interface Tap {
  namespace: string;
  name: string;
  /** Host-side device, e.g. `veth1a2b3c4d`. */
  device: string;
  /** Addresses without prefix length by which the pod was found. */
  ips: readonly string[];
}

/** A pod of this node that uses the node's own network: its packets are told by the cgroup of their socket. */
export interface HostPod {
  namespace: string;
  name: string;
  /** Names its port: `host` and 11 hexadecimal digits. */
  id: string;
  /** The node's device on which its packets are seen. */
  device: string;
  /** Of the device, bytes at layer 3. */
  mtu: number;
  /** Id of its cgroup in the v2 hierarchy. */
  cgroup: bigint;
  /** The node's addresses. */
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
  /** MTU of the underlay device, bytes at layer 3; that of pods' if left out. */
  uplinkMtu?: number | undefined;
  /** MTU of pods' devices, bytes at layer 3. */
  mtu: number;
  vxlan: { port: number; vni: number };
  /** `network`, as if left out: pods' network is Weir's. `chained`: it is another's, and Weir makes none. */
  mode?: "network" | "chained" | undefined;
  /** Pods' addresses on all nodes lie within these; if none of a family is given, within 256 times the node's own CIDR. */
  clusterCIDRs?: readonly string[] | undefined;
  /** Other nodes' addresses lie within these; anywhere if left out. */
  nodeCIDRs?: readonly string[] | undefined;
  /** Networks of the underlay device. */
  attached?: readonly string[] | undefined;
  /** The kernel has the fq qdisc: packets can be delayed and paced. */
  fq?: boolean | undefined;
}

export interface OverruledRules {
  limits: ReadonlyMap<string, readonly Overruled<LimitRule>[]>;
  impairments: ReadonlyMap<string, readonly Overruled<ImpairRule>[]>;
}

/** All that the planner sees. Plain and immutable. */
export interface ClusterState {
  node: NodeContext;
  nodes: readonly Node[];
  pods: readonly Pod[];
  endpoints: readonly Endpoint[];
  /** In mode `chained`. */
  taps: readonly Tap[];
  /** Pods with rules that use the node's own network. */
  hosts: readonly HostPod[];
  /** Rules in force by pod (`namespace/name`): the last good ones. */
  limits: ReadonlyMap<string, readonly LimitRule[]>;
  /** The same for impairments, in the order of their chain places. */
  impairments: ReadonlyMap<string, readonly ImpairRule[]>;
  /** The same for users' programs, at most one a direction. */
  programs: ReadonlyMap<string, readonly ProgramRule[]>;
  /** Rules that others come before, by pod. */
  overruled: OverruledRules;
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
    taps: [],
    hosts: [],
    limits: new Map(),
    impairments: new Map(),
    programs: new Map(),
    overruled: { limits: new Map(), impairments: new Map() },
    builds: new Map(),
    problems: [],
  };
}

type PodSources = "endpoints" | "taps" | "hosts";

/** Host-side devices of pods and their addresses, by `namespace/name`. */
export function podDevices({ endpoints, taps, hosts }: Pick<ClusterState, PodSources>) {
  const all: readonly Tap[] = [...endpoints, ...taps, ...hosts];
  return new Map(all.map(({ namespace, name, device, ips }) => [`${namespace}/${name}`, { device, ips }]));
}

/** Where the rules of a pod act: a port with an ingress chain (what the pod sends) and an egress chain (what it receives). */
export interface PodPort {
  /** `namespace/name`. */
  key: string;
  /** Host-side device, or a host-network pod's id: instances are named by it. */
  id: string;
  /** `instance:port`. */
  port: string;
  /** Of its packets, bytes at layer 3, if it is not that of pods' devices. */
  mtu?: number | undefined;
}

/** Ports of all pods whose packets pass Weir on this node, sorted by id. */
export function podPorts({ endpoints, taps, hosts }: Pick<ClusterState, PodSources>): PodPort[] {
  const ports = [
    ...endpoints.map((one) => podPort(one)),
    ...taps.map((one) => tapPodPort(one)),
    ...hosts.map((one) => hostPodPort(one)),
  ];
  return ports.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Full name of a tap's port. */
export const tapPort = ({ device }: Pick<Tap, "device">): string => `tap:${device}`;

/** Full name of a host-network pod's port. */
export const hostPort = ({ id }: Pick<HostPod, "id">): string => `tap:${id}`;

/** The port of a pod whose network is Weir's. */
export const podPort = memo(
  ({ namespace, name, device }: Endpoint): PodPort => ({
    key: `${namespace}/${name}`,
    id: device,
    port: `router:${device}`,
  }),
);

const tapPodPort = memo(
  (tap: Tap): PodPort => ({ key: `${tap.namespace}/${tap.name}`, id: tap.device, port: tapPort(tap) }),
);

const hostPodPort = memo(
  (pod: HostPod): PodPort => ({
    key: `${pod.namespace}/${pod.name}`,
    id: pod.id,
    port: hostPort(pod),
    mtu: pod.mtu,
  }),
);
