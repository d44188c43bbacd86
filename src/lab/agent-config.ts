import { CLUSTER_CIDRS, type NodeNames } from "./names.ts";
import type { LabRecord } from "./record.ts";

/** The configuration file of a node's agent, as JSON, which is YAML too. */
export function agentConfig(
  node: NodeNames,
  { overlay, programs, cgroup }: Pick<LabRecord, "overlay" | "programs" | "cgroup">,
): string {
  const config = {
    apiVersion: "weir.dev/v1alpha1",
    kind: "AgentConfig",
    addresses: node.addresses.map((address) => address.slice(0, address.indexOf("/"))),
    podCIDRs: node.podCIDRs,
    clusterCIDRs: CLUSTER_CIDRS,
    overlay,
    uplink: "eth0",
    podCgroups: `${cgroup}/${node.name}`,
    ...(programs !== undefined && { programs }),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
