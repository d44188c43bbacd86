import { hostname } from "node:os";
import type { AgentConfig } from "../api/config.ts";
import { addresses, hasQdisc, links, routes } from "../kernel/index.ts";
import type { NodeContext } from "../model/cluster.ts";
import { familyOf } from "../model/ip.ts";
import type { Node } from "../model/objects.ts";

/** VXLAN's headers: outer Ethernet is the device's own; IPv4 20 or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14. */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;

const ETHERNET_MTU = 1500;

/** The node's name: as configured, else the host's. */
export const nodeName = (config: AgentConfig): string => config.node ?? hostname();

/** What a veth takes; loopback's MTU is one byte more. */
const LARGEST_MTU = 65535;

/**
 * What the agent must know of its node before it plans: from the configuration, else from the Node object, else from
 * the kernel. Throws an error that names the missing setting.
 */
export function nodeContext(config: AgentConfig, object: Node | undefined): NodeContext {
  const name = nodeName(config);
  if (config.mode === "chained") return besideAnother(config, name);
  const uplink = config.uplink ?? defaultDevice(name);
  const device = links().find((link) => link.name === uplink);
  if (!device) throw new Error(`configure node ${name}: no device ${uplink} (set uplink in the configuration)`);
  const own = config.addresses ?? nonEmpty(object?.addresses) ?? addressesOf(device.ifindex);
  const podCIDRs = config.podCIDRs ?? nonEmpty(object?.podCIDRs);
  if (!podCIDRs) {
    throw new Error(`configure node ${name}: no pod CIDRs (set podCIDRs in the configuration or in the Node object)`);
  }
  if (own.length === 0) throw new Error(`configure node ${name}: device ${uplink} has no address (set addresses)`);
  const overhead = config.overlay === "vxlan" ? VXLAN_OVERHEAD[own.some((ip) => familyOf(ip) === 4) ? 4 : 6] : 0;
  return {
    name,
    overlay: config.overlay,
    addresses: own,
    podCIDRs,
    uplink,
    uplinkMtu: device.mtu,
    mtu: config.mtu ?? Math.min(LARGEST_MTU, device.mtu - overhead),
    vxlan: config.vxlan,
    fq: hasQdisc("fq"),
  };
}

/** All addresses of the node's namespace, sorted, but loopback's and link-local ones. */
export function ownAddresses(): string[] {
  const own = addresses().filter(({ linkLocal, cidr }) => !linkLocal && !/^(127\.|::1\/)/.test(cidr));
  return own.map(({ cidr }) => cidr.slice(0, cidr.indexOf("/"))).toSorted();
}

/** Pods' network is another's: all that counts is what size its packets have, and which addresses are the node's. */
function besideAnother(config: AgentConfig, name: string): NodeContext {
  const uplink = config.uplink ?? routeDevice() ?? "";
  return {
    name,
    mode: "chained",
    overlay: config.overlay,
    addresses: config.addresses ?? ownAddresses(),
    podCIDRs: [],
    uplink,
    uplinkMtu: links().find((link) => link.name === uplink)?.mtu,
    mtu: config.mtu ?? ETHERNET_MTU,
    vxlan: config.vxlan,
    fq: hasQdisc("fq"),
  };
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

/** The device of the default route. */
function routeDevice(): string | undefined {
  const route = routes().find(({ cidr, ifindex }) => ifindex !== undefined && /^(0\.0\.0\.0|::)\/0$/.test(cidr));
  return links().find((link) => link.ifindex === route?.ifindex)?.name;
}

function defaultDevice(name: string): string {
  const device = routeDevice();
  if (!device) throw new Error(`configure node ${name}: no default route tells the uplink (set uplink)`);
  return device;
}

/** The first global address of each family. */
function addressesOf(ifindex: number): string[] {
  const found = addresses(undefined, ifindex).filter(({ linkLocal }) => !linkLocal);
  const texts = found.map(({ cidr }) => cidr.slice(0, cidr.indexOf("/")));
  return [4, 6].flatMap((family) => texts.find((text) => familyOf(text) === family) ?? []);
}
