import {
  GATEWAY_MAC,
  HOST,
  HOST_MAC,
  LINK_LOCAL,
  OVERLAY,
  ROUTER,
  tunnelName,
  UPLINK,
} from "../functions/router/names.ts";
import {
  hostRow,
  nowhere,
  PORT,
  podPortRow,
  portRow,
  type RouterPorts,
  routeRow,
  TARGET,
  toward,
  tunnelRow,
} from "../functions/router/rows.ts";
import type { Fragment, Link, PortSpec, Route, Row } from "../model/document.ts";
import { type Family, familyOf, firstAddress, formatPrefix, isAddress, type Prefix, parsePrefix } from "../model/ip.ts";
import { memo } from "../model/memo.ts";
import { objectKey } from "../model/names.ts";
import type { NodeContext, PodAttachment } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";

/** Weir's own network on one node: the node itself, the routes to each other node, and each pod. */

/** Addresses that no packet between hosts may have. */
const MARTIANS = ["0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"];
const DEFAULTS = ["0.0.0.0/0", "::/0"];

/** The valid CIDRs, parsed. */
function prefixesOf(cidrs: readonly string[]): Prefix[] {
  return cidrs.flatMap((cidr) => {
    try {
      return [parsePrefix(cidr)];
    } catch {
      return [];
    }
  });
}

/** The first address of a family. */
function addressOf(addresses: readonly string[], family: Family): string | undefined {
  return addresses.find((address) => isAddress(address) && familyOf(address) === family);
}

/** The first address of each of the node's pod CIDRs. */
const gateways = memo((node: NodeContext): string[] =>
  prefixesOf(node.podCIDRs).map((prefix) => firstAddress(formatPrefix(prefix))),
);

const routerPorts = memo((node: NodeContext): RouterPorts => {
  const addresses = gateways(node);
  return { mtu: node.mtu, gateway4: addressOf(addresses, 4), gateway6: addressOf(addresses, 6) };
});

const port = (name: string, peer: PortSpec["peer"], entry?: string): PortSpec => ({
  ...{ instance: ROUTER, name, peer, entry },
});

/** The router with its ports to the node's stack and to the other nodes, and its fixed rows. */
export function nodeNetwork(node: NodeContext): Omit<Fragment, "owner"> {
  const between =
    node.overlay === "direct"
      ? port(UPLINK.port, { kind: "device", device: node.uplink, delivery: "neigh" }, node.uplink)
      : port(OVERLAY.port, { kind: "tunnel", device: OVERLAY.device }, OVERLAY.device);
  return {
    instances: [{ name: ROUTER, function: ROUTER }],
    ports: [port(HOST.port, { kind: "device", device: HOST.device, delivery: "receive" }, HOST.other), between],
    links: nodeLinks(node),
    routes: prefixesOf(node.podCIDRs).map((prefix) => stackRoute(prefix, node)),
    rows: () => nodeRows(node),
  };
}

function nodeLinks(node: NodeContext): Link[] {
  const { overlay, vxlan, mtu } = node;
  const ipv6 = prefixesOf(node.podCIDRs).some(({ family }) => family === 6);
  const { device, other } = HOST;
  const host: Link = { kind: "pair", device, other, mac: HOST_MAC, mtu, ipv6, offloads: true, resume: false };
  return overlay === "vxlan" ? [host, { kind: "vxlan", device: OVERLAY.device, ...vxlan, mtu }] : [host];
}

/**
 * The kernel's route to pods. Its source is the node's own address, so that pods reply to an address that every node
 * can route.
 */
function stackRoute(prefix: Prefix, node: NodeContext): Route {
  const source = addressOf(node.addresses, prefix.family);
  return { cidr: formatPrefix(prefix), device: HOST.device, ...(source !== undefined && { source }) };
}

/** Written before the rows of pods, and gateways before node addresses: a later claim to one of them loses. */
function nodeRows(node: NodeContext): Row[] {
  const networks = (cidrs: readonly string[], target: Row["value"]) =>
    prefixesOf(cidrs).map((prefix) => routeRow(prefix, target));
  const between = node.overlay === "direct" ? UPLINK.port : OVERLAY.port;
  const flags = node.overlay === "direct" ? PORT.uplink : PORT.overlay;
  return [
    ...[...gateways(node), LINK_LOCAL].map((address) => hostRow(address, nowhere(TARGET.local))),
    ...node.addresses.filter(isAddress).map((address) => hostRow(address, toward(HOST.port, HOST_MAC))),
    ...networks(MARTIANS, nowhere(TARGET.blackhole)),
    ...networks(DEFAULTS, toward(HOST.port, HOST_MAC)),
    ...networks(node.podCIDRs, nowhere(TARGET.unreachable)),
    portRow(routerPorts(node), HOST.port, PORT.host | PORT.proxy),
    portRow(routerPorts(node), between, flags | PORT.fragment),
  ];
}

/** The fragment of another node. Invalid addresses and CIDRs are left out. */
export function peerNetwork(peer: Node, own: NodeContext): Fragment {
  const { name } = peer.metadata;
  const addresses = peer.addresses.filter(isAddress);
  const owner = objectKey("Node", peer.metadata);
  const networks = prefixesOf(peer.podCIDRs);
  if (own.overlay === "direct") return directPeer(owner, addresses, peer.podCIDRs, own);
  const shared = ([4, 6] as const).find((family) => addressOf(own.addresses, family) && addressOf(addresses, family));
  const remote = shared && addressOf(addresses, shared);
  const routes = networks.map((prefix) => stackRoute(prefix, own));
  // no common address family: its pods are unreachable
  if (remote === undefined) return { owner, routes, rows: () => peerRoutes(addresses, peer.podCIDRs, () => undefined) };
  const tunnel = tunnelName(name);
  const way = () => OVERLAY.port;
  return {
    owner,
    routes,
    rows: () => [tunnelRow(tunnel, own.vxlan.vni, remote), ...peerRoutes(addresses, peer.podCIDRs, way, tunnel)],
  };
}

/** Mode direct. `bpf_redirect_neigh` also finds the next hop from these kernel routes. */
function directPeer(
  owner: string,
  addresses: readonly string[],
  podCIDRs: readonly string[],
  { uplink }: NodeContext,
): Fragment {
  const routes = prefixesOf(podCIDRs).flatMap((prefix) => {
    const via = addressOf(addresses, prefix.family);
    return via === undefined ? [] : [{ cidr: formatPrefix(prefix), device: uplink, via }];
  });
  const toward = (family: Family) => (addressOf(addresses, family) === undefined ? undefined : UPLINK.port);
  return { owner, routes, rows: () => peerRoutes(addresses, podCIDRs, toward) };
}

/**
 * Router rows for a peer's pods and for its own addresses. Replies of its own addresses leave through the port they
 * came in by.
 */
function peerRoutes(
  addresses: readonly string[],
  podCIDRs: readonly string[],
  portOf: (family: Family) => string | undefined,
  tunnel?: string,
): Row[] {
  const rows = (networks: readonly Prefix[], flags: number): Row[] =>
    networks.map((prefix) => {
      const way = portOf(prefix.family);
      return routeRow(
        prefix,
        way === undefined ? nowhere(TARGET.unreachable) : toward(way, GATEWAY_MAC, flags, tunnel),
      );
    });
  const own = addresses.map((address): Prefix => {
    const family = familyOf(address);
    return { family, address, length: family === 4 ? 32 : 128 };
  });
  return [...rows(own, TARGET.node), ...rows(prefixesOf(podCIDRs), 0)];
}

/** Addresses that no pod may have: the node's own and its pods' gateways. */
export const ownAddresses = (node: NodeContext): string[] => [...node.addresses, ...gateways(node)];

/**
 * A pod's device, port and addresses.
 * @param usual its addresses that no other pod has
 */
export function podNetwork(
  { device, netns, ifname, mac, ips, ...pod }: PodAttachment,
  node: NodeContext,
  usual: readonly string[],
): Fragment {
  const closed = node.overlay === "vxlan" ? node.vxlan.port : 0;
  const common = { gateways: gateways(node), gatewayMac: GATEWAY_MAC, mtu: node.mtu };
  return {
    owner: objectKey("Pod", pod),
    ports: [port(device, { kind: "device", device, delivery: "peer" }, device)],
    links: [{ kind: "pod", device, netns, ifname, mac, ips, ...common }],
    rows: () => [
      ...ips.map((address) => hostRow(address, toward(device, mac))),
      podPortRow(routerPorts(node), device, closed, usual),
    ],
  };
}
