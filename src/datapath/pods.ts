import {
  addAddress,
  addRoute,
  findLink,
  KernelError,
  Netlink,
  readSysctl,
  removeRoute,
  routes,
  setLink,
  WEIR_ROUTE_PROTOCOL,
  writeSysctl,
} from "../kernel/index.ts";
import type { PodLink } from "../model/document.ts";
import { familyOf } from "../model/ip.ts";

/**
 * Gives a pod's end its addresses, and by its gateways everything else. What is there stays, so it may be done again.
 * A route that the pod made itself in the place of one of these stays too.
 */
export function activatePod({ netns, ifname, ips, gateways }: PodLink): void {
  if (ips.some((ip) => familyOf(ip) === 6)) enableIpv6(ifname, netns);
  const netlink = Netlink.open(netns);
  try {
    setLink("lo", { up: true }, netlink);
    setLink(ifname, { up: true }, netlink);
    for (const ip of ips) addAddress(ifname, hostPrefix(ip), { noPrefixRoute: true }, netlink);
    for (const via of gateways) {
      if (!ips.some((ip) => familyOf(ip) === familyOf(via))) continue;
      addRoute({ cidr: hostPrefix(via), device: ifname }, netlink);
      addRoute({ cidr: familyOf(via) === 4 ? "0.0.0.0/0" : "::/0", via, device: ifname, onlink: true }, netlink);
    }
  } finally {
    netlink.close();
  }
}

/** Has the kernel taken all of a pod's routes, as it does when the pod's end is set down? Some are the pod's own affair. */
export function isBare({ netns, ifname, gateways }: PodLink): boolean {
  if (gateways.length === 0) return false;
  const netlink = Netlink.open(netns);
  try {
    const own = findLink(ifname, netlink)?.ifindex; // one that the pod renamed is its own affair too
    return own !== undefined && !routes(netlink, WEIR_ROUTE_PROTOCOL).some(({ ifindex }) => ifindex === own);
  } finally {
    netlink.close();
  }
}

/** Who made the namespace may have it that new devices have no IPv6; this one needs it. */
export function enableIpv6(ifname: string, netns?: string): void {
  const setting = `net/ipv6/conf/${ifname}/disable_ipv6`;
  try {
    if (readSysctl(setting, netns) === "0") return;
  } catch (error) {
    if (error instanceof KernelError && error.code === "sysctl-missing") return; // no IPv6: the address says so
    throw error;
  }
  writeSysctl(setting, 0, netns);
}

const hostPrefix = (ip: string): string => `${ip}/${familyOf(ip) === 4 ? 32 : 128}`;

/** A route that nobody has: the discard-only prefix of RFC 6666. */
const NOBODY = "100::/128";

/**
 * An open connection keeps what the device allowed when it found its route. Has all of a namespace find theirs again: the
 * kernel forgets IPv4's on demand, and IPv6's when a route comes.
 */
export function forgetRoutes({ ifname, netns, ips }: PodLink): void {
  writeSysctl("net/ipv4/route/flush", -1, netns);
  const isUp = findLink(ifname, netns)?.up === true; // no route can lead to a device that is down
  const hasIpv6 = ips.some((ip) => familyOf(ip) === 6);
  if (!isUp || !hasIpv6) return;
  addRoute({ cidr: NOBODY, device: ifname }, netns);
  removeRoute({ cidr: NOBODY, device: ifname }, netns);
}
