import type { PortSpec, Row } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";

export const TAP = "tap";

/**
 * Ports for pods in another network, and for pods with `hostNetwork: true`. Their packets pass the chains and then
 * continue where they were going.
 */
export const tap: NetworkFunction = {
  name: TAP,
  kind: "standard",
  summary: "lets packets of pods of other networks, or of the node's, pass the chains, and hands them back",
  tables: ["weir_cgroups"],
};

/** A port on a device of another network. */
export const tapPortOf = (name: string, device: string): PortSpec => ({
  ...{ instance: TAP, name, entry: device },
  peer: { kind: "back", device },
});

/** A port for packets of the node's own sockets on a device. */
export const socketsPortOf = (name: string, device: string): PortSpec => ({
  ...{ instance: TAP, name },
  peer: { kind: "sockets", device },
});

/** The row that assigns a cgroup's sockets, by its id in the v2 hierarchy, to a port. */
export const cgroupRow = (cgroup: bigint, port: string): Row => ({
  table: "weir_cgroups",
  key: { id: cgroup },
  value: { port: { port }, reserved: 0 },
});
