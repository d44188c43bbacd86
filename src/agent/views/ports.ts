import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { deliveryOf } from "../../datapath/compile.ts";
import type { DesiredState, Peer, Port } from "../../model/desired.ts";

/** Packets and bytes of a port, by its full name. */
export interface PortCounters {
  received: { packets: number; bytes: number };
  sent: { packets: number; bytes: number };
}

/** What is known of the node's devices. */
interface Seen {
  ifindex(device: string): number | undefined;
  isSeenByXdp(device: string): boolean;
}

const fullName = (port: Port): string => `${port.instance}:${port.name}`;
const NONE: PortCounters = { received: { packets: 0, bytes: 0 }, sent: { packets: 0, bytes: 0 } };

/** Ports with what they are connected to and what they have carried. */
export function portItems(
  desired: DesiredState,
  counters: ReadonlyMap<string, PortCounters>,
  { ifindex, isSeenByXdp }: Seen,
): Plain<schema.Port>[] {
  const exists = (device: string): boolean => ifindex(device) !== undefined;
  const functions = functionsOf(desired);
  return desired.ports.map((port) => ({
    name: fullName(port),
    instance: port.instance,
    function: functions.get(port.instance) ?? "",
    peer: peerText(port.peer, { isSeenByXdp }),
    device: port.entry ?? null,
    state: isUp(port, exists) ? "up" : "down",
    ingress: [...port.ingress],
    egress: [...port.egress],
    ...(counters.get(fullName(port)) ?? NONE),
  }));
}

/** The chains that hold at least one function. */
export function chainItems(desired: DesiredState, seen: Pick<Seen, "isSeenByXdp">): Plain<schema.Chain>[] {
  const functions = functionsOf(desired);
  return desired.ports.flatMap((port) =>
    (["ingress", "egress"] as const).flatMap((direction) => {
      if (port[direction].length === 0) return [];
      const hops = port[direction].map((instance) => ({ instance, function: functions.get(instance) ?? "" }));
      const end = direction === "ingress" ? port.instance : peerText(port.peer, seen);
      return [{ port: fullName(port), direction, hops, end }];
    }),
  );
}

function functionsOf(desired: DesiredState): Map<string, string> {
  return new Map(desired.instances.map((instance) => [instance.name, instance.function]));
}

/** A port that only receives, such as the overlay's, is up while its device exists. */
function isUp(port: Port, exists: (device: string) => boolean): boolean {
  if (port.entry !== undefined && !exists(port.entry)) return false;
  const { peer } = port;
  if (peer.kind === "none") return port.entry !== undefined;
  return "device" in peer ? exists(peer.device) : true;
}

function peerText(peer: Peer, seen: Pick<Seen, "isSeenByXdp">): string {
  switch (peer.kind) {
    case "device":
      return `${peer.device} (${deliveryOf(peer, seen)})`;
    case "back":
      return `${peer.device} (back)`;
    case "sockets":
      return `${peer.device} (sockets)`;
    case "tunnel":
      return `${peer.device} (tunnels)`;
    case "port":
      return peer.port;
    default:
      return peer.kind;
  }
}
