import {
  acceptsVni,
  allowVni,
  changeTc,
  createVeth,
  createVxlan,
  type DeviceInfo,
  handle,
  hasOffloads,
  KernelError,
  readSysctl,
  setLink,
  setOffloads,
  TC_ROOT,
  writeSysctl,
} from "../kernel/index.ts";
import type { Link, PairLink } from "../model/document.ts";
import { activatePod, enableIpv6 } from "./pods.ts";

/** The most packets in the delaying pair's fq, and the longest delay, µs. */
const FQ = { limit: 1_000_000, flowLimit: 1_000_000, horizon: 60_000_000 };

/** The names of a link's devices in this namespace. */
export const endsOf = (link: Link): string[] => (link.kind === "pair" ? [link.device, link.other] : [link.device]);

/** The MAC address that the first device must have; undefined: any. */
export function macOf(link: Link): string | undefined {
  if (link.kind === "pod") return link.gatewayMac;
  return link.kind === "pair" && link.mac !== "" ? link.mac : undefined;
}

/** How one of a link's devices differs from what Weir left; undefined: it does not. */
export function changeOf(link: Link, device: string, now: DeviceInfo | undefined): string | undefined {
  if (!now) return `device ${device} was removed`;
  if (!now.up) return `device ${device} was set down`;
  const mac = device === link.device ? macOf(link) : undefined;
  if (mac !== undefined && now.mac !== mac) return `the MAC address of device ${device} was changed`;
  const isQueue = link.kind === "pair" && link.mac === ""; // whoever queues packets there sets its MTU
  return isQueue || now.mtu === link.mtu ? undefined : `the MTU of device ${device} was changed`;
}

/** Creates a link's devices, which stay down. */
export function makeLink(link: Link): void {
  const { device, mtu } = link;
  if (link.kind === "vxlan") {
    createVxlan({ name: device, port: link.port, vni: link.vni, mtu });
  } else if (link.kind === "pod") {
    const peer = { name: link.ifname, netns: link.netns, mac: link.mac, mtu };
    createVeth({ name: device, mac: link.gatewayMac, mtu, peer });
  } else {
    createVeth({ name: device, mtu, ...(link.mac ? { mac: link.mac } : {}), peer: { name: link.other, mtu } });
  }
}

/** Sets MAC address and MTU of a link's devices. @param now state of the first device */
export function fitLink(link: Link, now: DeviceInfo): void {
  const { device, mtu } = link;
  const mac = macOf(link);
  if (mac !== undefined && now.mac !== mac) setLink(device, { mac });
  if (link.kind === "pair" && link.mac === "") return; // Shapers sets the MTU of a pair that queues packets
  if (link.kind === "pod") setLink(link.ifname, { mtu }, link.netns);
  for (const end of endsOf(link).toReversed()) setLink(end, { mtu });
}

/**
 * Configures the rest of a link and brings its devices up. They come up last: a device that is up counts as complete,
 * also after a restart.
 */
export function activateLink(link: Link): void {
  if (link.kind === "pair") {
    activatePair(link);
    return;
  }
  silence(link.device);
  if (link.kind === "pod") activatePod(link);
  if (link.kind === "vxlan") allowVni(link.device, link.vni);
  setLink(link.device, { up: true });
}

function activatePair({ device, other, ipv6, offloads, qdisc }: PairLink): void {
  if (ipv6) enableIpv6(device);
  else silence(device);
  silence(other);
  // with checksum offload, a packet's checksum would be filled in later and hide corruption of the packet
  if (!offloads) setOffloads(device, { segmentation: false, txChecksum: false });
  if (qdisc) changeTc(device, [{ op: "set", kind: qdisc, handle: handle(1), parent: TC_ROOT, ...FQ }]);
  for (const name of [other, device]) setLink(name, { up: true });
}

/** Whether the settings of a link's devices in this namespace are still those of `activateLink`. */
export function isConfigured(link: Link): boolean {
  const { device } = link;
  if (link.kind === "vxlan") return isSilent(device) && acceptsVni(device, link.vni);
  if (link.kind === "pod") return isSilent(device);
  const own = link.ipv6 ? !isSilent(device, false) : isSilent(device);
  return own && isSilent(link.other) && (link.offloads || !hasOffloads(device, ["segmentation", "txChecksum"]));
}

/** Whether the node's stack leaves a device alone. @param unknown the answer where the kernel has no such setting */
function isSilent(device: string, unknown = true): boolean {
  try {
    return readSysctl(`net/ipv6/conf/${device}/disable_ipv6`) === "1";
  } catch (error) {
    if (error instanceof KernelError && error.code === "sysctl-missing") return unknown; // or the device was removed, which is notified
    throw error;
  }
}

/** Disables IPv6 on a device, so that the node's stack sends no neighbour discovery or MLD reports on it. */
function silence(device: string): void {
  writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
}
