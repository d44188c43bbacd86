import { podKey } from "./names.ts";

/** A pod of this node that a runtime (a CNI plugin, the lab) attached to Weir's network. REST calls it an endpoint. */
export interface PodAttachment {
  namespace: string;
  name: string;
  uid: string;
  /** Path of the pod's network namespace, e.g. `/run/netns/x`. */
  netns: string;
  /** Device name inside the pod, normally `eth0`. */
  ifname: string;
  /** The runtime's id of the pod's sandbox, if given. */
  sandbox?: string | undefined;
  /** Host-side device: `weir` and 11 hexadecimal digits of a hash of the pod's identity and namespace. */
  device: string;
  mac: string;
  /** Addresses without prefix length: at most one of each family. */
  ips: readonly string[];
}

/** A pod of this node in another provider's network. Weir processes its packets on the device made by that provider. */
export interface Tap {
  namespace: string;
  name: string;
  /** Host-side device, e.g. `veth1a2b3c4d`. */
  device: string;
  /** Addresses by which the pod was found, without prefix length. */
  ips: readonly string[];
}

/** A pod of this node with `hostNetwork: true`. Its packets are recognized by the cgroup of their socket. */
export interface HostPod {
  namespace: string;
  name: string;
  /** Names its port: `host` and 11 hexadecimal digits. */
  id: string;
  /** The node's device with its packets. */
  device: string;
  /** MTU of the device, bytes at layer 3. */
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

/** Full name of a tap's port. */
export const tapPort = ({ device }: Pick<Tap, "device">): string => `tap:${device}`;

/** Full name of a host-network pod's port. */
export const hostPort = ({ id }: Pick<HostPod, "id">): string => `tap:${id}`;

/** Where a pod's rules act, whoever made its network. */
export function podPort(attached?: PodAttachment, tap?: Tap, host?: HostPod): PodPort | undefined {
  if (attached) return { key: podKey(attached), id: attached.device, port: `router:${attached.device}` };
  if (tap) return { key: podKey(tap), id: tap.device, port: tapPort(tap) };
  return host && { key: podKey(host), id: host.id, port: hostPort(host), mtu: host.mtu };
}
