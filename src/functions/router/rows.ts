import type { Endpoint, NodeContext } from "../../model/cluster.ts";
import type { Row, RowFields } from "../../model/desired.ts";
import { familyOf, firstAddress, ipBytes, isAddress, macBytes, type Prefix, parsePrefix } from "../../model/ip.ts";
import { memo } from "../../model/memo.ts";
import { fullName, GATEWAY_MAC, HOST, HOST_MAC, LINK_LOCAL, OVERLAY, ROUTER, UPLINK } from "./names.ts";
import { addressOf, isPrefix, type PeerNode, peerNodes, portToward, type RouterState } from "./peers.ts";

/** `enum weir_rt_target_flags` */
export const TARGET = { local: 1, unreachable: 2, prohibited: 4, blackhole: 8, node: 16 } as const;
/** `enum weir_rt_port_flags` */
export const PORT = { strict: 1, proxy: 2, host: 4, uplink: 8, overlay: 16, fragment: 32 } as const;

/** Never on a wire. */
const MARTIANS = ["0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"];
const DEFAULTS = ["0.0.0.0/0", "::/0"];
const NOWHERE = { port: 0, mac: new Uint8Array(6), tunnel: 0 };

/** All rows of the router's tables, by key: of two with the same key the first stays. */
export function routerRows(state: RouterState): Row[] {
  const rows = new Map<string, Row>();
  const add = (row: Row): void => {
    const key = keyText(row);
    if (!rows.has(key)) rows.set(key, row);
  };
  for (const row of [...tunnelRows(state), ...hostRows(state), ...routeRows(state)]) add(row);
  for (const row of portRows(state, (host) => rows.get(keyText(host)) === host)) add(row);
  return [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

const keyText = memo((row: Row) => `${row.table} ${JSON.stringify(row.key)}`);

const target = (port: string, mac: string): RowFields => ({
  port: { port: fullName(port) },
  mac: macBytes(mac),
  flags: 0,
  tunnel: 0,
});

function hostRow(address: string, value: RowFields): Row {
  const key = { instance: { instance: ROUTER }, family: familyOf(address), addr: ipBytes(address) };
  return { table: "weir_rt_hosts", key, value };
}

/** Gateways come before the node's addresses, and these before pods': nobody takes another's address. */
function hostRows(state: RouterState): Row[] {
  const own = [...gateways(state.node), LINK_LOCAL];
  const endpoints = state.endpoints.toSorted((a, b) => (a.device < b.device ? -1 : 1));
  return [
    ...own.map((address) => hostRow(address, { ...NOWHERE, flags: TARGET.local })),
    ...state.node.addresses.filter(isAddress).map((address) => hostRow(address, target(HOST.port, HOST_MAC))),
    ...endpoints.flatMap((endpoint) => podRows(endpoint)),
  ];
}

const podRows = memo(({ device, mac, ips }: Endpoint) => ips.map((address) => hostRow(address, target(device, mac))));

function routeRow({ family, length, address }: Prefix, value: RowFields): Row {
  const key = { prefixlen: 64 + length, instance: { instance: ROUTER }, family, addr: ipBytes(address) };
  return { table: "weir_rt_routes", key, value };
}

function routeRows(state: RouterState): Row[] {
  const unreachable = { ...NOWHERE, flags: TARGET.unreachable };
  const fixed = (cidrs: readonly string[], value: RowFields) => cidrs.map((cidr) => routeRow(parsePrefix(cidr), value));
  return [
    ...fixed(MARTIANS, { ...NOWHERE, flags: TARGET.blackhole }),
    ...fixed(DEFAULTS, target(HOST.port, HOST_MAC)),
    ...fixed(state.node.podCIDRs.filter(isPrefix), unreachable),
    ...peerNodes(state).flatMap((peer) => peerRoutes(peer, state)),
  ];
}

/** A peer's pods, and its own addresses: the node's stack answers them by the way that they came. */
function peerRoutes(peer: PeerNode, state: RouterState): Row[] {
  const rows = (cidrs: readonly string[], flags: number): Row[] =>
    cidrs.map((cidr) => {
      const prefix = parsePrefix(cidr);
      const port = portToward(peer, prefix.family, state.node.overlay);
      const tunnel = peer.tunnel === undefined ? 0 : { tunnel: peer.tunnel };
      const toPeer = port && { ...target(port, GATEWAY_MAC), flags, tunnel };
      return routeRow(prefix, toPeer || { ...NOWHERE, flags: TARGET.unreachable });
    });
  const own = peer.addresses.map((address) => `${address}/${familyOf(address) === 4 ? 32 : 128}`);
  return [...rows(own, TARGET.node), ...rows(peer.podCIDRs, 0)];
}

/** First address of each of the node's pod CIDRs. */
export const gateways = memo((node: NodeContext): string[] => node.podCIDRs.filter(isPrefix).map(firstAddress));

/** What all ports of a node have. */
const common = memo((node: NodeContext): RowFields => {
  const addresses = gateways(node);
  const gateway4 = addressOf(addresses, 4);
  const gateway6 = addressOf(addresses, 6);
  return {
    mtu: node.mtu,
    mac: macBytes(GATEWAY_MAC),
    fragmenter: { port: fullName(HOST.port) },
    fragmenter_mac: macBytes(HOST_MAC),
    gateway4: gateway4 ? ipBytes(gateway4).subarray(0, 4) : new Uint8Array(4),
    gateway6: gateway6 ? ipBytes(gateway6) : new Uint8Array(16),
    tunnel_port: 0,
  };
});

const portRow = (node: NodeContext, port: string, flags: number, more: RowFields = {}): Row => ({
  table: "weir_rt_ports",
  key: { port: fullName(port) }, // stands for the id itself
  value: { ...common(node), flags, ...more },
});

/** @param usual addresses that are the pod's, one of each family, and nobody else's */
const podPortRow = memo(({ device }: Endpoint, node: NodeContext, usual: readonly string[]): Row => {
  const [source4, source6] = [addressOf(usual, 4), addressOf(usual, 6)];
  return portRow(node, device, PORT.strict | PORT.fragment, {
    tunnel_port: node.overlay === "vxlan" ? node.vxlan.port : 0,
    source4: source4 ? ipBytes(source4).subarray(0, 4) : new Uint8Array(4),
    source6: source6 ? ipBytes(source6) : new Uint8Array(16),
  });
});

function ownAddresses(endpoint: Endpoint, isInForce: (host: Row) => boolean): string[] {
  const hosts = podRows(endpoint);
  return endpoint.ips.filter((_, i) => hosts[i] !== undefined && isInForce(hosts[i]));
}

/** @param isInForce whether a host row is the one that stays of those with its key */
function portRows(state: RouterState, isInForce: (host: Row) => boolean): Row[] {
  const { node } = state;
  const row = (port: string, flags: number): Row => portRow(node, port, flags);
  const between =
    state.node.overlay === "direct"
      ? [row(UPLINK.port, PORT.uplink | PORT.fragment)]
      : [row(OVERLAY.port, PORT.overlay | PORT.fragment)];
  return [
    ...state.endpoints.map((endpoint) => podPortRow(endpoint, node, ownAddresses(endpoint, isInForce))),
    row(HOST.port, PORT.host | PORT.proxy),
    ...between,
  ];
}

/** Where tunnels end: one for each peer that shares a family with this node. */
function tunnelRows({ node, ...state }: RouterState): Row[] {
  if (node.overlay === "direct") return [];
  return peerNodes({ node, ...state }).flatMap(({ tunnel, remote }) => {
    if (tunnel === undefined || remote === undefined) return [];
    const value = { family: familyOf(remote), vni: node.vxlan.vni, remote: ipBytes(remote) };
    return [{ table: "weir_tunnels", key: { tunnel }, value }];
  });
}
