import type { ClusterState, Endpoint, NodeContext } from "../../model/cluster.ts";
import type { Contribution, Link, PairLink, Port, Route } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { formatPrefix, parsePrefix } from "../../model/ip.ts";
import { latest, memo } from "../../model/memo.ts";
import { GATEWAY_MAC, HOST, HOST_MAC, OVERLAY, ROUTER, UPLINK } from "./names.ts";
import { addressOf, isPrefix, peerNodes, type RouterState } from "./peers.ts";
import { gateways, routerRows } from "./rows.ts";

/** Routes between the node's pods, other nodes and the node's own stack. */
export const router: NetworkFunction = {
  name: ROUTER,
  kind: "standard",
  summary: "routes between pods, nodes and the host: neighbours, TTL, ICMP errors, source check",
  tables: ["weir_tunnels", "weir_rt_hosts", "weir_rt_routes", "weir_rt_ports"],
  desired({ node, nodes, endpoints }: ClusterState): Contribution {
    if (node.mode === "chained") return {}; // pods' network is another's
    return contribution(node, nodes, endpoints);
  },
};

const contribution = latest(
  (node: RouterState["node"], nodes: RouterState["nodes"], endpoints: RouterState["endpoints"]): Contribution => {
    const state = { node, nodes, endpoints };
    return {
      instances: [{ name: ROUTER, function: ROUTER }],
      ports: ports(state),
      links: links(state),
      routes: routes(state),
      rows: routerRows(state),
    };
  },
);

const port = (name: string, peer: Port["peer"], entry?: string): Port => ({
  instance: ROUTER,
  name,
  peer,
  entry,
  ingress: [],
  egress: [],
});

const podPort = memo(({ device }: Endpoint) => port(device, { kind: "device", device, delivery: "peer" }, device));

function ports(state: RouterState): Port[] {
  const pods = state.endpoints.map((endpoint) => podPort(endpoint));
  return [
    ...pods,
    port(HOST.port, { kind: "device", device: HOST.device, delivery: "receive" }, HOST.other),
    ...portsBetweenNodes(state),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function portsBetweenNodes(state: RouterState): Port[] {
  const { overlay, uplink } = state.node;
  if (overlay === "direct") return [port(UPLINK.port, { kind: "device", device: uplink, delivery: "neigh" }, uplink)];
  const { device } = OVERLAY;
  return [port(OVERLAY.port, { kind: "tunnel", device }, device)];
}

function links(state: RouterState): Link[] {
  const { overlay, vxlan, mtu } = state.node;
  const pods = state.endpoints.map((endpoint) => podLink(endpoint, state.node));
  const tunnel: Link[] = overlay === "vxlan" ? [{ kind: "vxlan", device: OVERLAY.device, ...vxlan, mtu }] : [];
  return [...pods, hostLink(state), ...tunnel].toSorted((a, b) => (a.device < b.device ? -1 : 1));
}

const podLink = memo(({ device, netns, ifname, mac, ips }: Endpoint, node: NodeContext): Link => {
  const common = { gateways: gateways(node), gatewayMac: GATEWAY_MAC, mtu: node.mtu };
  return { kind: "pod", device, netns, ifname, mac, ips, ...common };
});

/** The node's stack sends to pods as itself, so that they answer to an address that every node can route. */
function hostLink(state: RouterState): PairLink {
  const { node } = state;
  const remote = node.overlay === "vxlan" ? peerNodes(state).flatMap(({ podCIDRs }) => podCIDRs) : [];
  const prefixes = new Set(
    [...node.podCIDRs, ...remote].filter(isPrefix).map((cidr) => formatPrefix(parsePrefix(cidr))),
  );
  const { device, other } = HOST;
  const toPods = [...prefixes].map((cidr) => ({ cidr, source: addressOf(node.addresses, parsePrefix(cidr).family) }));
  return { kind: "pair", device, other, mac: HOST_MAC, mtu: node.mtu, addresses: [], routes: toPods, offloads: true };
}

/** Direct mode: the kernel's routes to other nodes' pods, which also tell `bpf_redirect_neigh` the next hop. */
function routes(state: RouterState): Route[] {
  if (state.node.overlay !== "direct") return [];
  return peerNodes(state).flatMap(({ podCIDRs, addresses }) =>
    podCIDRs.flatMap((cidr) => {
      const via = addressOf(addresses, parsePrefix(cidr).family);
      return via === undefined ? [] : [{ cidr, via, device: state.node.uplink }];
    }),
  );
}
