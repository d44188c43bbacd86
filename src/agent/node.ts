import { hostname } from "node:os";
import { isDeepStrictEqual } from "node:util";
import type { AgentConfig } from "../api/config.ts";
import { addresses, defaultRoute, findLink, hasQdisc } from "../kernel/index.ts";
import { indexIn, parseCidr } from "../model/addresses.ts";
import { familyOf, formatPrefix, parsePrefix } from "../model/ip.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";

/**
 * VXLAN overhead: IPv4 20 or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14. The outer Ethernet header is not part of the
 * MTU.
 */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

const ETHERNET_MTU = 1500;

/** The configured node name, else the host name. */
export const nodeName = (config: Pick<AgentConfig, "node">): string => config.node ?? hostname();

/** Maximum MTU of a veth. Loopback's is one byte more. */
const LARGEST_MTU = 65535;

/**
 * What the agent must know about its node before planning: from the configuration, else from the Node object, else from
 * the kernel. @throws Error that names the missing setting
 */
export function nodeContext(config: AgentConfig, object: Node | undefined): NodeContext {
  const fq = hasQdisc("fq");
  if (config.mode === "chained") return { ...besideAnother(config), fq };
  const podCIDRs = config.podCIDRs ?? nonEmpty(object?.podCIDRs);
  if (podCIDRs) return { ...ownNetwork(config, object, podCIDRs), fq };
  const hint = "set podCIDRs in the configuration or in the Node object";
  throw new Error(`configure node ${nodeName(config)}: no pod CIDRs (${hint})`);
}

/**
 * Reads the node's addresses, uplink and MTU again while the agent runs. Pod CIDRs and kernel features are not read
 * again. Returns `before` itself if nothing changed. Throws like `nodeContext`.
 */
export function followNode(config: AgentConfig, object: Node | undefined, before: NodeContext): NodeContext {
  const isChained = config.mode === "chained";
  const now = isChained ? besideAnother(config) : ownNetwork(config, object, before.podCIDRs);
  const after = { ...now, fq: before.fq };
  return isDeepStrictEqual(before, after) ? before : after;
}

function ownNetwork(config: AgentConfig, object: Node | undefined, podCIDRs: readonly string[]): NodeContext {
  const name = nodeName(config);
  const uplink = config.uplink ?? defaultDevice(name);
  const device = findLink(uplink);
  if (!device) throw new Error(`configure node ${name}: no device ${uplink} (set uplink in the configuration)`);
  const held = addresses().filter(({ linkLocal }) => !linkLocal);
  const onUplink = held.filter(({ ifindex }) => ifindex === device.ifindex);
  const own = config.addresses ?? addressesNow(object?.addresses ?? [], held.map(addressOf), onUplink.map(addressOf));
  if (own.length === 0) throw new Error(`configure node ${name}: device ${uplink} has no address (set addresses)`);
  const inside = own.find((ip) => podCIDRs.some((text) => contains(text, ip)));
  if (inside) {
    const hint = "pod CIDRs must be pods' alone";
    throw new Error(
      `configure node ${name}: its address ${inside} is in its pod CIDRs ${podCIDRs.join(", ")} (${hint})`,
    );
  }
  const overhead = config.overlay === "vxlan" ? VXLAN_OVERHEAD[own.some((ip) => familyOf(ip) === 4) ? 4 : 6] : 0;
  return {
    name,
    overlay: config.overlay,
    addresses: own,
    podCIDRs,
    clusterCIDRs: config.clusterCIDRs,
    nodeCIDRs: config.nodeCIDRs,
    attached: onUplink.map(({ cidr }) => formatPrefix(parsePrefix(cidr))),
    uplink,
    uplinkMtu: device.mtu,
    mtu: config.mtu ?? Math.min(LARGEST_MTU, device.mtu - overhead),
    vxlan: config.vxlan,
  };
}

/**
 * The node's addresses; of each family the one it sends from is first. An address of the Node object that no device
 * has, e.g. because the object is outdated, comes after the uplink's.
 */
export function addressesNow(named: readonly string[], held: readonly string[], uplink: readonly string[]): string[] {
  const first = (family: number, list: readonly string[]) => list.filter((ip) => familyOf(ip) === family).slice(0, 1);
  if (named.length === 0) return [4, 6].flatMap((family) => first(family, uplink));
  return [4, 6].flatMap((family) => {
    const [own] = first(family, named);
    if (own === undefined) return [];
    return held.includes(own) ? [own] : [...first(family, uplink), own];
  });
}

const addressOf = ({ cidr }: { cidr: string }): string => cidr.slice(0, cidr.indexOf("/"));

function contains(network: string, address: string): boolean {
  const cidr = parseCidr(network);
  return cidr.ok && indexIn(cidr.value, address) !== undefined;
}

/** All addresses of the node's namespace, sorted, without loopback and link-local ones. */
function ownAddresses(): string[] {
  const own = addresses().filter(({ linkLocal, cidr }) => !linkLocal && !/^(127\.|::1\/)/.test(cidr));
  return own.map(addressOf).toSorted();
}

/**
 * Context for mode chained, in which another provider makes the pods' network: only the MTU and the node's addresses
 * are needed.
 */
function besideAnother(config: AgentConfig): NodeContext {
  const uplink = config.uplink ?? routeDevice() ?? "";
  return {
    name: nodeName(config),
    mode: "chained",
    overlay: config.overlay,
    addresses: config.addresses ?? ownAddresses(),
    podCIDRs: [],
    uplink,
    uplinkMtu: uplink === "" ? undefined : findLink(uplink)?.mtu,
    mtu: config.mtu ?? ETHERNET_MTU,
    vxlan: config.vxlan,
  };
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

/** The device of the default route. */
function routeDevice(): string | undefined {
  const ifindex = defaultRoute()?.ifindex;
  return ifindex === undefined ? undefined : findLink(ifindex)?.name;
}

function defaultDevice(name: string): string {
  const device = routeDevice();
  if (!device) throw new Error(`configure node ${name}: no default route tells the uplink (set uplink)`);
  return device;
}
