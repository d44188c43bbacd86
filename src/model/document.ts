/**
 * What a node should contain, by names; the datapath maps names to ids. Authors write it as fragments. Each item has
 * one owner: the object that it exists for.
 */

/** How a port delivers packets to its peer. */
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
  /**
   * Build of a user's program to run as this instance, in a program slot of its own; default: the function's own
   * program.
   */
  program?: string | undefined;
}

export type ChainDirection = "ingress" | "egress";

/** A port of an instance of a standard function. Its full name is `instance:name`. */
export interface PortSpec {
  instance: string;
  name: string;
  peer: Peer;
  /** The device whose received packets enter here, usually the peer's device. */
  entry?: string | undefined;
}

/**
 * A port with its chains: instances of transparent functions in order. Ingress is into the function, egress out of it.
 */
export interface Port extends PortSpec {
  ingress: readonly string[];
  egress: readonly string[];
}

/** A transparent function's instance in a port's chain. Smaller orders come first. */
export interface Attachment {
  /** Full name of the port. */
  port: string;
  direction: ChainDirection;
  instance: string;
  order: number;
}

/**
 * A row of a function's table, with the field names of its C structs. References are by name: `{ port }`, `{ instance
 * }`, `{ device }`, `{ tunnel }`, and `{ shaper }` for an instance's HTB classes.
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
  | { tunnel: string }
  | { shaper: string }
  | readonly RowValue[]
  | { readonly [field: string]: RowValue };
export type RowFields = { readonly [field: string]: RowValue };
export interface Row {
  /** The map's name. */
  table: string;
  key: RowFields;
  value: RowFields;
}

/** A pod's veth pair with addresses. The pod's end has /32 and /128 addresses and default routes through `gateways`. */
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

/** A veth pair within the node. */
export interface PairLink {
  kind: "pair";
  device: string;
  other: string;
  /** MAC address of the first end; empty: any. */
  mac: string;
  mtu: number;
  /** Whether the first end has IPv6, for packets of the node's stack. */
  ipv6: boolean;
  /** Offloads. Off: packets that cross the pair are segmented, with checksums filled in. */
  offloads: boolean;
  /** Queueing discipline of the first end; default: the kernel's. `fq` holds packets until their time. */
  qdisc?: "fq" | undefined;
  /** Whether packets received from the second end continue at the hop in their mark. */
  resume: boolean;
}
export interface VxlanLink {
  kind: "vxlan";
  device: string;
  port: number;
  /** The only VNI whose packets are received. */
  vni: number;
  mtu: number;
}
export type Link = PodLink | PairLink | VxlanLink;

/** A kernel route of the node. */
export interface Route {
  cidr: string;
  device: string;
  /** Next hop; without one the destination is on the device's link. */
  via?: string | undefined;
  /** Source address of the node's own packets. */
  source?: string | undefined;
}

/** A shaper: a block of HTB classes on a shaping device. */
export interface Shaper {
  /** The limit's instance. */
  instance: string;
  device: string;
  /** bit/s at layer 3. */
  rate: number;
  /** MTU of the packets, bytes at layer 3: HTB counts 14 bytes more per packet. */
  mtu: number;
  /** Host-side device of the pod whose sockets send all shaped packets, if there is one. */
  sender?: string | undefined;
}

/**
 * The lease of an instance, a row of `weir_leases`: it ends unless it is renewed. A function with a lease does nothing
 * if its row is missing or expired.
 */
export interface InstanceLease {
  instance: string;
  seconds: number;
  /** ms since the epoch at which it ends even if renewed. */
  until?: number | undefined;
}

/** The items that one author writes for one object. Immutable. */
export interface Fragment {
  /** The object that all items belong to, `Kind/namespace/name`. */
  owner: string;
  instances?: readonly Instance[] | undefined;
  ports?: readonly PortSpec[] | undefined;
  attach?: readonly Attachment[] | undefined;
  links?: readonly Link[] | undefined;
  routes?: readonly Route[] | undefined;
  shapers?: readonly Shaper[] | undefined;
  leases?: readonly InstanceLease[] | undefined;
  /** Rows are generated on each call, to save memory: the datapath keeps them encoded. */
  rows?: (() => Iterable<Row>) | undefined;
}

/** A changed item. `gone`: it was removed, and `item` is what it was. */
export interface Change<T> {
  /** Owner id: that of its fragment. */
  owner: string;
  item: T;
  gone: boolean;
}

/** Changes by kind since the last delta, at most one per item. */
export interface Delta {
  instances: readonly Change<Instance>[];
  ports: readonly Change<Port>[];
  links: readonly Change<Link>[];
  routes: readonly Change<Route>[];
  shapers: readonly Change<Shaper>[];
  leases: readonly Change<InstanceLease>[];
  rows: readonly Change<Row>[];
}

/** All items of a node. */
export interface Document {
  instances: readonly Instance[];
  ports: readonly Port[];
  links: readonly Link[];
  routes: readonly Route[];
  shapers: readonly Shaper[];
  leases: readonly InstanceLease[];
  rows: readonly Row[];
}

/** Full name of a port. */
export const portName = ({ instance, name }: Pick<PortSpec, "instance" | "name">): string => `${instance}:${name}`;
