/**
 * The desired state of one node: a document. Kubernetes is one author of such documents, a person is another.
 * Names, not ids: the datapath gives ids to names and keeps them in the kernel.
 */

/** How a port hands a packet to its peer. */
export type Peer =
  | { kind: "device"; device: string; delivery: "peer" | "redirect" | "receive" | "neigh" }
  | { kind: "tunnel"; device: string } // by the tunnel of the node that a packet is for: a row of `weir_tunnels`
  | { kind: "port"; port: string } // "instance:port"
  | { kind: "stack" }
  | { kind: "back"; device: string } // another network's: both directions are seen, and handed back to it
  | { kind: "sockets"; device: string } // the node's own sockets' packets on this device, and handed back to it
  | { kind: "none" };

export interface Instance {
  name: string;
  function: string;
  /** Build of a user's program that acts as this instance, in a slot of its own; the function's own program if left out. */
  program?: string | undefined;
}

/** A port of a standard function's instance. Its full name is `instance:name`. */
export interface Port {
  instance: string;
  name: string;
  peer: Peer;
  /** A device whose ingress enters the panel at this port; mostly the peer's device. */
  entry?: string | undefined;
  /** Instances of transparent functions in order. Ingress: into the function. Egress: out of it. */
  ingress: readonly string[];
  egress: readonly string[];
}

/**
 * A row of a function's table: fields by name as in the C structs. Names stand for ids: `{ port }`, `{ instance }`,
 * `{ device }`, `{ tunnel }`, and `{ shaper }` for the classes that an instance owns.
 */
export type RowValue =
  | number
  | bigint
  | string
  | Uint8Array
  | { port: string }
  | { instance: string }
  | { device: string }
  | { tunnel: string }
  | { shaper: string }
  | readonly RowValue[]
  | { readonly [field: string]: RowValue };
export type RowFields = { readonly [field: string]: RowValue };
export interface Row {
  table: string; // the map's name
  key: RowFields;
  value: RowFields;
}

/** A pod's veth pair with its addresses. The pod's side has /32 and /128 addresses and its default routes through `gateways`. */
export interface PodLink {
  kind: "pod";
  device: string;
  netns: string;
  ifname: string;
  mac: string;
  ips: readonly string[];
  gateways: readonly string[];
  gatewayMac: string;
  mtu: number;
}
/** A veth pair within the node. `addresses` and `routes` (CIDRs) are of its first end. */
export interface PairLink {
  kind: "pair";
  device: string;
  other: string;
  mac: string;
  mtu: number;
  addresses: readonly string[];
  routes: readonly { cidr: string; source?: string | undefined }[];
  /** Offloads on? Off: packets that cross come out split to the wire's size, with their checksums filled in. */
  offloads: boolean;
  /** Queueing discipline of the first end; the kernel's default if left out. `fq` holds packets until their time. */
  qdisc?: "fq" | undefined;
}
export interface VxlanLink {
  kind: "vxlan";
  device: string;
  port: number;
  /** The one network whose packets may come in. */
  vni: number;
  mtu: number;
}
/** A kernel route of the node. */
export interface Route {
  cidr: string;
  via: string;
  device: string;
}
export type Link = PodLink | PairLink | VxlanLink;

/** One shaper: a block of HTB classes on a shaping device. `owner` is the limit's instance. */
export interface Shaper {
  owner: string;
  device: string;
  /** bit/s at layer 3. */
  rate: number;
  /** MTU of the packets, bytes at layer 3: HTB counts 14 more a packet. */
  mtu: number;
  /** Host-side device of the pod whose local sockets send all that is shaped, if it is one pod's. */
  sender?: string | undefined;
}

/**
 * What ends by itself in the datapath unless it is renewed: rows of `weir_leases`, by instance. An instance with a lease
 * whose row is missing or past acts on nothing.
 */
export interface InstanceLease {
  instance: string;
  seconds: number;
  /** ms since the epoch at which it ends, renewed or not. */
  until?: number | undefined;
}

export interface DesiredState {
  links: readonly Link[];
  /** Devices on whose ingress packets go on at the hop in their mark: the far ends of Weir's own pairs. */
  resume: readonly string[];
  routes: readonly Route[];
  instances: readonly Instance[];
  ports: readonly Port[];
  shapers: readonly Shaper[];
  leases: readonly InstanceLease[];
  rows: readonly Row[];
}

/** What one function adds. Chains are placed by order: smaller first. */
export interface Contribution {
  instances?: readonly Instance[];
  ports?: readonly Port[];
  attach?: readonly { port: string; direction: "ingress" | "egress"; instance: string; order: number }[];
  links?: readonly Link[];
  routes?: readonly Route[];
  shapers?: readonly Shaper[];
  leases?: readonly InstanceLease[];
  rows?: readonly Row[];
}
