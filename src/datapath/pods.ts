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
 * Configures the pod's end: addresses, gateways, and routes through them. Existing ones are kept, so it can be
 * repeated. A route that the pod itself set in the place of one of these is kept too.
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

/**
 * Whether the kernel has removed all of the pod's routes, as it does when the pod's end is set down. A pod may have
 * removed some itself.
 */
export function isBare({ netns, ifname, gateways }: PodLink): boolean {
  if (gateways.length === 0) return false;
  const netlink = Netlink.open(netns);
  try {
    const own = findLink(ifname, netlink)?.ifindex; // a device that the pod renamed is not checked
    return own !== undefined && !routes(netlink, WEIR_ROUTE_PROTOCOL).some(({ ifindex }) => ifindex === own);
  } finally {
    netlink.close();
  }
}

/** Enables IPv6 on the device: new devices in a namespace may have it disabled. */
export function enableIpv6(ifname: string, netns?: string): void {
  const setting = `net/ipv6/conf/${ifname}/disable_ipv6`;
  try {
    if (readSysctl(setting, netns) === "0") return;
  } catch (error) {
    if (error instanceof KernelError && error.code === "sysctl-missing") return; // the kernel has no IPv6: adding the address reports it
    throw error;
  }
  writeSysctl(setting, 0, netns);
}

const hostPrefix = (ip: string): string => `${ip}/${familyOf(ip) === 4 ? 32 : 128}`;

/** A destination that nobody uses: the discard-only prefix of RFC 6666. */
const NOBODY = "100::/128";

/**
 * Makes all sockets in a namespace look up their routes again. An open connection keeps the device's limits from when
 * it found its route. For IPv4 the kernel flushes cached routes on request, for IPv6 when a route is added.
 */
export function forgetRoutes({ ifname, netns, ips }: PodLink): void {
  writeSysctl("net/ipv4/route/flush", -1, netns);
  const isUp = findLink(ifname, netns)?.up === true; // a route cannot be added to a device that is down
  const hasIpv6 = ips.some((ip) => familyOf(ip) === 6);
  if (!isUp || !hasIpv6) return;
  addRoute({ cidr: NOBODY, device: ifname }, netns);
  removeRoute({ cidr: NOBODY, device: ifname }, netns);
}
