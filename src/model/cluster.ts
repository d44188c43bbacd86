import type { LimitRule } from "./limits.ts";
import type { Node, Pod, Problem } from "./objects.ts";

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
}

/** All that the planner sees. Plain and immutable. */
export interface ClusterState {
  node: NodeContext;
  nodes: readonly Node[];
  pods: readonly Pod[];
  endpoints: readonly Endpoint[];
  /** Rules in force by pod (`namespace/name`): the last good ones. */
  limits: ReadonlyMap<string, readonly LimitRule[]>;
  problems: readonly Problem[];
}
