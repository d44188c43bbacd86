import { type ClusterState, type HostPod, hostPort, type Tap, tapPort } from "../../model/cluster.ts";
import type { Contribution, Port, Row } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { memo } from "../../model/memo.ts";

/**
 * Ports on pods' devices of other networks, and of pods that use the node's own: their packets pass the chains and go on
 * where they were going.
 */
export const tap: NetworkFunction = {
  name: "tap",
  kind: "standard",
  summary: "lets packets of pods of other networks, or of the node's, pass the chains, and hands them back",
  tables: ["weir_cgroups"],
  desired({ taps, hosts }: ClusterState): Contribution {
    if (taps.length + hosts.length === 0) return {};
    return {
      instances: [{ name: "tap", function: "tap" }],
      ports: [...taps.map((one) => port(one)), ...hosts.map((one) => socketsPort(one))],
      rows: hosts.map((one) => cgroupRow(one)),
    };
  },
};

const port = memo((one: Tap): Port => {
  const [instance = "", name = ""] = tapPort(one).split(":");
  return { instance, name, peer: { kind: "back", device: one.device }, entry: one.device, ingress: [], egress: [] };
});

const socketsPort = memo((pod: HostPod): Port => {
  const [instance = "", name = ""] = hostPort(pod).split(":");
  return { instance, name, peer: { kind: "sockets", device: pod.device }, ingress: [], egress: [] };
});

const cgroupRow = memo(
  (pod: HostPod): Row => ({
    table: "weir_cgroups",
    key: { id: pod.cgroup },
    value: { port: { port: hostPort(pod) }, reserved: 0 },
  }),
);
