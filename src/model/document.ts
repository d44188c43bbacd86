/**
 * What a node should hold, in names: the datapath gives ids to names and keeps them in the kernel. Authors write it in
 * fragments; each item has one owner, the object for which it is there.
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

export type ChainDirection = "ingress" | "egress";

/** A port of a standard function's instance as its author wants it. Its full name is `instance:name`. */
export interface PortSpec {
  instance: string;
  name: string;
  peer: Peer;
  /** A device whose ingress enters the panel at this port; mostly the peer's device. */
  entry?: string | undefined;
}

/** A port with its chains: instances of transparent functions in order. Ingress: into the function. Egress: out of it. */
export interface Port extends PortSpec {
  ingress: readonly string[];
  egress: readonly string[];
}

/** An instance's place in a port's chain: smaller orders first. */
export interface Attachment {
  /** Full name of the port. */
  port: string;
  direction: ChainDirection;
  instance: string;
  order: number;
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

/** A veth pair within the node. */
export interface PairLink {
  kind: "pair";
  device: string;
  other: string;
  /** Of its first end; empty: any. */
  mac: string;
  mtu: number;
  /** IPv6 on the first end: it carries the stack's packets. */
  ipv6: boolean;
  /** Offloads on? Off: packets that cross come out split to the wire's size, with their checksums filled in. */
  offloads: boolean;
  /** Queueing discipline of the first end; the kernel's default if left out. `fq` holds packets until their time. */
  qdisc?: "fq" | undefined;
  /** Packets that come out of the second end go on at the hop in their mark. */
  resume: boolean;
}
export interface VxlanLink {
  kind: "vxlan";
  device: string;
  port: number;
  /** The one network whose packets may come in. */
  vni: number;
  mtu: number;
}
export type Link = PodLink | PairLink | VxlanLink;

/** A kernel route of the node. */
export interface Route {
  cidr: string;
  device: string;
  /** Next hop; none: the device's own link. */
  via?: string | undefined;
  /** Source address of what the node itself sends there. */
  source?: string | undefined;
}

/** One shaper: a block of HTB classes on a shaping device. */
export interface Shaper {
  /** Of the limit whose classes they are. */
  instance: string;
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

/** What one author wants for one object. Immutable, and equal reads give equal fragments. */
export interface Fragment {
  /** `Kind/namespace/name` of the object for which all of it is there. */
  owner: string;
  instances?: readonly Instance[] | undefined;
  ports?: readonly PortSpec[] | undefined;
  attach?: readonly Attachment[] | undefined;
  links?: readonly Link[] | undefined;
  routes?: readonly Route[] | undefined;
  shapers?: readonly Shaper[] | undefined;
  leases?: readonly InstanceLease[] | undefined;
  /** Made anew each time they are asked for: rows are many, and the datapath holds their bytes. */
  rows?: (() => Iterable<Row>) | undefined;
}

/** One item that is another than it was. `gone`: the item as it was. */
export interface Change<T> {
  /** Whose it is: the id of its fragment. */
  owner: string;
  item: T;
  gone: boolean;
}

/** All that is another than at the last time, by kind. Of one item there is one change. */
export interface Delta {
  instances: readonly Change<Instance>[];
  ports: readonly Change<Port>[];
  links: readonly Change<Link>[];
  routes: readonly Change<Route>[];
  shapers: readonly Change<Shaper>[];
  leases: readonly Change<InstanceLease>[];
  rows: readonly Change<Row>[];
}

/** All that a node should hold. */
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
