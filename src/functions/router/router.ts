import type { ClusterState, Endpoint } from "../../model/cluster.ts";
import type { Contribution, Link, PairLink, Port, Route } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { formatPrefix, parsePrefix } from "../../model/ip.ts";
import { GATEWAY_MAC, HOST, HOST_MAC, OVERLAY, ROUTER, UPLINK } from "./names.ts";
import { addressOf, isPrefix, peerNodes } from "./peers.ts";
import { gateways, routerRows, tunnels } from "./rows.ts";

/** Routes between the node's pods, other nodes and the node's own stack. */
export const router: NetworkFunction = {
  name: ROUTER,
  kind: "standard",
  summary: "routes between pods, nodes and the host: neighbours, TTL, ICMP errors, source check",
  tables: ["weir_rt_hosts", "weir_rt_routes", "weir_rt_ports"],
  desired(state: ClusterState): Contribution {
    return {
      instances: [{ name: ROUTER, function: ROUTER }],
      ports: ports(state),
      links: links(state),
      routes: routes(state),
      rows: routerRows(state),
    };
  },
};

const port = (name: string, peer: Port["peer"], entry?: string): Port => ({
  instance: ROUTER,
  name,
  peer,
  entry,
  ingress: [],
  egress: [],
});

function ports(state: ClusterState): Port[] {
  const pods = state.endpoints.map(({ device }) => port(device, { kind: "device", device, delivery: "peer" }, device));
  return [
    ...pods,
    port(HOST.port, { kind: "device", device: HOST.device, delivery: "receive" }, HOST.other),
    ...portsBetweenNodes(state),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function portsBetweenNodes(state: ClusterState): Port[] {
  const { overlay, uplink, vxlan } = state.node;
  if (overlay === "direct") return [port(UPLINK.port, { kind: "device", device: uplink, delivery: "neigh" }, uplink)];
  const { device } = OVERLAY;
  return [
    port(OVERLAY.port, { kind: "none" }, device), // packets leave by the port of the node they are for
    ...tunnels(state).map(({ port: name, remote }) => port(name, { kind: "tunnel", device, vni: vxlan.vni, remote })),
  ];
}

function links(state: ClusterState): Link[] {
  const { overlay, vxlan, mtu } = state.node;
  const pods = state.endpoints.map((endpoint) => podLink(endpoint, state));
  const tunnel: Link[] = overlay === "vxlan" ? [{ kind: "vxlan", device: OVERLAY.device, port: vxlan.port, mtu }] : [];
  return [...pods, hostLink(state), ...tunnel].toSorted((a, b) => (a.device < b.device ? -1 : 1));
}

function podLink({ device, netns, ifname, mac, ips }: Endpoint, state: ClusterState): Link {
  const common = { gateways: gateways(state), gatewayMac: GATEWAY_MAC, mtu: state.node.mtu };
  return { kind: "pod", device, netns, ifname, mac, ips, ...common };
}

/** The node's stack sends to pods as itself, so that they answer to an address that every node can route. */
function hostLink(state: ClusterState): PairLink {
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
function routes(state: ClusterState): Route[] {
  if (state.node.overlay !== "direct") return [];
  return peerNodes(state).flatMap(({ podCIDRs, addresses }) =>
    podCIDRs.flatMap((cidr) => {
      const via = addressOf(addresses, parsePrefix(cidr).family);
      return via === undefined ? [] : [{ cidr, via, device: state.node.uplink }];
    }),
  );
}
