import type { PortSpec, Row } from "../../model/document.ts";
import type { NetworkFunction } from "../../model/function.ts";

export const TAP = "tap";

/**
 * Ports on pods' devices of other networks, and of pods that use the node's own: their packets pass the chains and go on
 * where they were going.
 */
export const tap: NetworkFunction = {
  name: TAP,
  kind: "standard",
  summary: "lets packets of pods of other networks, or of the node's, pass the chains, and hands them back",
  tables: ["weir_cgroups"],
};

/** Port on another network's device. */
export const tapPortOf = (name: string, device: string): PortSpec => ({
  ...{ instance: TAP, name, entry: device },
  peer: { kind: "back", device },
});

/** Port of the packets of the node's own sockets on a device. */
export const socketsPortOf = (name: string, device: string): PortSpec => ({
  ...{ instance: TAP, name },
  peer: { kind: "sockets", device },
});

/** Whose sockets' packets come to a port: those of a cgroup, by its id in the v2 hierarchy. */
export const cgroupRow = (cgroup: bigint, port: string): Row => ({
  table: "weir_cgroups",
  key: { id: cgroup },
  value: { port: { port }, reserved: 0 },
});
