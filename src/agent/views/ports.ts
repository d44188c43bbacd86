import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { deliveryOf } from "../../datapath/compile.ts";
import { type Peer, type Port, portName } from "../../model/document.ts";
import type { Composer } from "../../reconcile/composer.ts";

/** Packets and bytes of a port. */
export interface PortCounters {
  received: { packets: number; bytes: number };
  sent: { packets: number; bytes: number };
}

/** What the datapath knows of devices. */
interface Seen {
  ifindex(device: string): number | undefined;
  isSeenByXdp(device: string): boolean;
}

const NONE: PortCounters = { received: { packets: 0, bytes: 0 }, sent: { packets: 0, bytes: 0 } };

/** Ports with their peers and counters. */
export function portItems(
  document: Document,
  counters: ReadonlyMap<string, PortCounters>,
  { ifindex, isSeenByXdp }: Seen,
): Plain<schema.Port>[] {
  const exists = (device: string): boolean => ifindex(device) !== undefined;
  const functions = functionsOf(document);
  return portsOf(document).map((port) => ({
    name: portName(port),
    instance: port.instance,
    function: functions.get(port.instance) ?? "",
    peer: peerText(port.peer, { isSeenByXdp }),
    device: port.entry ?? null,
    state: isUp(port, exists) ? "up" : "down",
    ingress: [...port.ingress],
    egress: [...port.egress],
    ...(counters.get(portName(port)) ?? NONE),
  }));
}

/** Chains with at least one function. */
export function chainItems(document: Document, seen: Pick<Seen, "isSeenByXdp">): Plain<schema.Chain>[] {
  const functions = functionsOf(document);
  return portsOf(document).flatMap((port) =>
    (["ingress", "egress"] as const).flatMap((direction) => {
      if (port[direction].length === 0) return [];
      const hops = port[direction].map((instance) => ({ instance, function: functions.get(instance) ?? "" }));
      const end = direction === "ingress" ? port.instance : peerText(port.peer, seen);
      return [{ port: portName(port), direction, hops, end }];
    }),
  );
}

type Document = Pick<Composer, "ports" | "instances">;

/** Ports, sorted by full name. */
function portsOf({ ports }: Document): Port[] {
  return [...ports].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { item }]) => item);
}

function functionsOf({ instances }: Document): Map<string, string> {
  return new Map([...instances.all()].map(({ item }) => [item.name, item.function]));
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
