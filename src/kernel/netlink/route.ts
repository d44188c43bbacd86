import { KernelError } from "../errors.ts";
import { AF, formatAddress, formatMac, parseAddress, parseCidr, parseMac } from "./address.ts";
import { ifindexOf } from "./link.ts";
import { attr, attributes, FLAG, nest, type Reply, u32, uint } from "./message.ts";
import { type At, type Netlink, perform, withNetlink } from "./socket.ts";

const RTM = { new: 24, delete: 25, get: 26 };
const NEIGHBOUR = { new: 28, delete: 29, get: 30 };
const RTA = { destination: 1, oif: 4, gateway: 5, priority: 6, source: 7, metrics: 8, table: 15 };
const METRIC_MTU = 2;
const SCOPE = { global: 0, link: 253 };
const TABLE_MAIN = 254;
const UNICAST = 1;
const ONLINK = 4;
const NDA = { destination: 1, mac: 2 };
const PERMANENT = 0x80;

/** Protocol number of Weir's routes (`proto 119` in `ip route`). */
export const WEIR_ROUTE_PROTOCOL = 119;

/** A route through `device`, `via`, or both. */
export interface RouteSpec {
  cidr: string;
  device?: string | number | undefined;
  via?: string | undefined;
  /** Preferred source address. */
  source?: string | undefined;
  /** Treats `via` as reachable through `device`, whatever the addresses. */
  onlink?: boolean;
  metric?: number;
  table?: number;
  mtu?: number;
  protocol?: number;
}
export interface RouteInfo {
  cidr: string;
  ifindex: number | undefined;
  via: string | undefined;
  source: string | undefined;
  metric: number | undefined;
  table: number;
  protocol: number;
}

function header(family: number, prefix: number, spec: Partial<RouteSpec>): Buffer {
  const body = Buffer.alloc(12);
  const linkScope = family === AF.inet && spec.via === undefined;
  const table = spec.table ?? TABLE_MAIN;
  body.set([family, prefix, 0, 0, table > 255 ? 0 : table, spec.protocol ?? WEIR_ROUTE_PROTOCOL]);
  body.writeUInt8(linkScope ? SCOPE.link : SCOPE.global, 6);
  body.writeUInt8(UNICAST, 7);
  body.writeUInt32LE(spec.onlink ? ONLINK : 0, 8);
  return body;
}

function routeBody(spec: RouteSpec, ifindex: number | undefined): Buffer {
  const { family, bytes, prefix } = parseCidr(spec.cidr);
  const parts = [header(family, prefix, spec), attr(RTA.destination, bytes), u32(RTA.table, spec.table ?? TABLE_MAIN)];
  if (ifindex !== undefined) parts.push(u32(RTA.oif, ifindex));
  if (spec.via !== undefined) parts.push(attr(RTA.gateway, parseAddress(spec.via).bytes));
  if (spec.source !== undefined) parts.push(attr(RTA.source, parseAddress(spec.source).bytes));
  if (spec.metric !== undefined) parts.push(u32(RTA.priority, spec.metric));
  if (spec.mtu !== undefined) parts.push(nest(RTA.metrics, u32(METRIC_MTU, spec.mtu)));
  return Buffer.concat(parts);
}

/** RT_SCOPE_NOWHERE: matches any scope when a route is removed. */
const SCOPE_NOWHERE = 255;

function change(type: number, flags: number, action: string, spec: RouteSpec, at: At, tolerate: readonly string[]) {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof spec.device === "string" ? ifindexOf(spec.device, netlink) : spec.device;
    const where = spec.device === undefined ? `via ${spec.via}` : `on device ${spec.device}`;
    const body = routeBody(spec, ifindex);
    if (type === RTM.delete) body.writeUInt8(SCOPE_NOWHERE, 6);
    const request = { type, flags, body };
    return perform(netlink, `${action} route ${spec.cidr} ${where}`, request, tolerate);
  });
}

/** Adds a route. Returns false if one with the same destination and metric exists, which is kept. */
export function addRoute(spec: RouteSpec, at?: At): boolean {
  return change(RTM.new, FLAG.request | FLAG.create | FLAG.exclusive, "add", spec, at, ["EEXIST"]);
}

/** Removes a route with this protocol number, by default Weir's. Returns false if there was none. */
export function removeRoute(spec: RouteSpec, at?: At): boolean {
  return change(RTM.delete, FLAG.request, "remove", spec, at, ["ESRCH", "ENOENT"]);
}

export function readRoute({ body }: Reply): RouteInfo {
  const family = body.readUInt8(0);
  const found = attributes(body.subarray(12));
  const address = (type: number) => {
    const bytes = found.get(type);
    return bytes && formatAddress(bytes);
  };
  const any = family === AF.inet ? "0.0.0.0" : "::";
  return {
    cidr: `${address(RTA.destination) ?? any}/${body.readUInt8(1)}`,
    ifindex: uint(found, RTA.oif),
    via: address(RTA.gateway),
    source: address(RTA.source),
    metric: uint(found, RTA.priority),
    table: uint(found, RTA.table) ?? body.readUInt8(4),
    protocol: body.readUInt8(5),
  };
}

/** Whether a message is about a unicast route in the main table. */
export const isMainUnicast = ({ body }: Reply): boolean =>
  body.readUInt8(4) === TABLE_MAIN && body.readUInt8(7) === UNICAST;

/** Unicast routes of both families in the main table. @param protocol only routes with this number */
export function routes(at?: At, protocol = 0): RouteInfo[] {
  return withNetlink(at, (netlink) =>
    [AF.inet, AF.inet6].flatMap((family) => unicastRoutes(netlink, family, protocol)),
  );
}

function unicastRoutes(netlink: Netlink, family: number, protocol = 0): RouteInfo[] {
  const filter = Buffer.alloc(12); // filtered by the kernel: there may be a million other routes
  filter.set([family, 0, 0, 0, TABLE_MAIN, protocol, 0, UNICAST]);
  return dumpRoutes(netlink, filter).filter(isMainUnicast).map(readRoute);
}

/** Reserved for documentation (RFC 5737, RFC 3849), so that only the default route matches. */
const ELSEWHERE = ["192.0.2.1", "2001:db8::1"] as const;
const FIB_MATCH = 0x2000;

/**
 * The main table's default route, IPv4's before IPv6's. The kernel is asked by which route a packet would go elsewhere:
 * a node may have a million routes. They are listed only if that answers with another route or none.
 */
export function defaultRoute(at?: At): RouteInfo | undefined {
  return withNetlink(at, (netlink) => {
    for (const [i, address] of ELSEWHERE.entries()) {
      const match = routeTo(address, netlink);
      if (match && isDefault(match)) return match;
      const family = i === 0 ? AF.inet : AF.inet6;
      const listed = unicastRoutes(netlink, family).find(isDefault);
      if (listed) return listed;
    }
    return undefined;
  });
}

const isDefault = ({ cidr, ifindex }: RouteInfo): boolean =>
  ifindex !== undefined && (cidr === "0.0.0.0/0" || cidr === "::/0");

/** The route that a packet to an address would take; undefined if none. */
function routeTo(address: string, netlink: Netlink): RouteInfo | undefined {
  const { family, bytes } = parseAddress(address);
  const body = Buffer.alloc(12);
  body.set([family, bytes.length * 8]);
  body.writeUInt32LE(FIB_MATCH, 8);
  const answer = netlink.request(RTM.get, Buffer.concat([body, attr(RTA.destination, bytes)]));
  return "errno" in answer || !isMainUnicast(answer) ? undefined : readRoute(answer);
}

/** For IPv4 the kernel has no main table before the first address is added. */
function dumpRoutes(netlink: Netlink, filter: Buffer): Reply[] {
  try {
    return netlink.dump(RTM.get, filter);
  } catch (error) {
    if (error instanceof KernelError && error.errno === "ENOENT") return [];
    throw error;
  }
}

/** A permanent neighbour entry. */
export interface NeighbourSpec {
  device: string | number;
  address: string;
  mac: string;
}
export interface NeighbourInfo {
  ifindex: number;
  address: string;
  mac: string | undefined;
  permanent: boolean;
}

function neighbourBody(ifindex: number, address: string, mac?: string): Buffer {
  const { family, bytes } = parseAddress(address);
  const body = Buffer.alloc(12);
  body.writeUInt8(family, 0);
  body.writeInt32LE(ifindex, 4);
  body.writeUInt16LE(mac === undefined ? 0 : PERMANENT, 8);
  const parts = [body, attr(NDA.destination, bytes)];
  if (mac !== undefined) parts.push(attr(NDA.mac, parseMac(mac)));
  return Buffer.concat(parts);
}

/** Adds or replaces a permanent neighbour entry. */
export function addNeighbour({ device, address, mac }: NeighbourSpec, at?: At): void {
  withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const flags = FLAG.request | FLAG.create | FLAG.replace;
    const request = { type: NEIGHBOUR.new, flags, body: neighbourBody(ifindex, address, mac) };
    perform(netlink, `add neighbour ${address} on device ${device}`, request);
  });
}

/** Returns false if there was no such entry. */
export function removeNeighbour({ device, address }: Omit<NeighbourSpec, "mac">, at?: At): boolean {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const request = { type: NEIGHBOUR.delete, flags: FLAG.request, body: neighbourBody(ifindex, address) };
    return perform(netlink, `remove neighbour ${address} from device ${device}`, request, ["ENOENT"]);
  });
}

export function neighbours(at?: At): NeighbourInfo[] {
  return withNetlink(at, (netlink) =>
    netlink.dump(NEIGHBOUR.get, Buffer.alloc(12)).flatMap(({ body }) => {
      const found = attributes(body.subarray(12));
      const address = found.get(NDA.destination);
      const mac = found.get(NDA.mac);
      if (!address) return [];
      return [
        {
          ifindex: body.readInt32LE(4),
          address: formatAddress(address),
          mac: mac?.length === 6 ? formatMac(mac) : undefined,
          permanent: (body.readUInt16LE(8) & PERMANENT) !== 0,
        },
      ];
    }),
  );
}
