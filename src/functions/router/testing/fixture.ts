import type { NodeContext, PodAttachment } from "../../../model/node-context.ts";
import type { Node } from "../../../model/objects.ts";
import type { Wanted } from "../../testing/document.ts";

/** Pod `name` of node-1 with addresses 10.244.1.N and fd00:10:244:1::N (hexadecimal). */
export function endpoint(name: string, n: number, netns = `/run/netns/${name}`): PodAttachment {
  const digits = n.toString(16).padStart(2, "0");
  return {
    namespace: "default",
    name,
    uid: name,
    netns,
    ifname: "eth0",
    device: `weir${digits.repeat(6).slice(0, 11)}`,
    mac: `02:00:00:00:01:${digits}`,
    ips: [`10.244.1.${n}`, `fd00:10:244:1::${n.toString(16)}`],
  };
}

export function node(n: number, changes: Partial<Node> = {}): Node {
  return {
    kind: "Node",
    metadata: { name: `node-${n}`, labels: {}, annotations: {} },
    addresses: [`192.168.0.${n}`, `fd00:192::${n}`],
    podCIDRs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`],
    ...changes,
  };
}

/** node-1 of two nodes, with pods a and b. */
export function cluster(context: Partial<NodeContext> = {}, changes: Partial<Wanted> = {}): Wanted {
  const own = node(1);
  return {
    node: {
      name: "node-1",
      overlay: "vxlan",
      addresses: own.addresses,
      podCIDRs: own.podCIDRs,
      uplink: "eth0",
      mtu: 1450,
      vxlan: { port: 4789, vni: 1 },
      ...context,
    },
    nodes: [own, node(2)],
    endpoints: [endpoint("a", 10), endpoint("b", 11)],
    ...changes,
  };
}
