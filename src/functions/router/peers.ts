import type { ClusterState, NodeContext } from "../../model/cluster.ts";
import { type Family, familyOf, formatPrefix, isAddress, parsePrefix } from "../../model/ip.ts";
import type { Node } from "../../model/objects.ts";
import { OVERLAY, tunnelName, UPLINK } from "./names.ts";

/** All that the router looks at. */
export type RouterState = Pick<ClusterState, "node" | "nodes" | "endpoints">;

/** Another node, as the router reaches it. */
export interface PeerNode {
  name: string;
  /** Name of the port that leads there. */
  port: string;
  /** Name of the tunnel by which packets leave that port; undefined: it has none. */
  tunnel: string | undefined;
  /** Underlay address that the tunnel ends at; undefined if the two nodes share no family. */
  remote: string | undefined;
  addresses: readonly string[];
  podCIDRs: readonly string[];
}

export const isPrefix = (cidr: string): boolean => {
  try {
    return parsePrefix(cidr) !== undefined;
  } catch {
    return false;
  }
};

/** Of this family, the first. */
export function addressOf(addresses: readonly string[], family: Family): string | undefined {
  return addresses.find((address) => isAddress(address) && familyOf(address) === family);
}

/** All nodes but our own, by name. Addresses and CIDRs that are none are left out. */
export function peerNodes(state: RouterState): PeerNode[] {
  return state.nodes
    .filter((node) => node.metadata.name !== state.node.name)
    .map((node) => peerNode(node, state.node))
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function peerNode(node: Node, own: NodeContext): PeerNode {
  const name = node.metadata.name;
  const addresses = node.addresses.filter(isAddress);
  const shared = ([4, 6] as const).find((family) => addressOf(own.addresses, family) && addressOf(addresses, family));
  return {
    name,
    port: own.overlay === "direct" ? UPLINK.port : OVERLAY.port,
    tunnel: own.overlay === "direct" ? undefined : tunnelName(name),
    remote: shared && addressOf(addresses, shared),
    addresses,
    podCIDRs: node.podCIDRs.filter(isPrefix).map((cidr) => formatPrefix(parsePrefix(cidr))),
  };
}

/** Where packets for an address or CIDR of a peer leave the node; undefined: nowhere. */
export function portToward(peer: PeerNode, family: Family, overlay: NodeContext["overlay"]): string | undefined {
  const reachable = overlay === "direct" ? addressOf(peer.addresses, family) : peer.remote;
  return reachable === undefined ? undefined : peer.port;
}
