import { type Instance, type Peer, type Port, portName } from "../model/document.ts";
import { Fault } from "./fault.ts";
import { type Chain, firstHop, type Hop, MAX_CHAIN, TURNED } from "./layout.ts";

/** A port in numbers: its chains with their terminal hops, and the device whose ingress enters there. */
export interface PortRows {
  id: number;
  ingress: readonly Hop[];
  egress: readonly Hop[];
  /** Index of the device whose packets enter by it. */
  entry: number | undefined;
}

/** What a port's rows are made of. */
export interface PortScope {
  port(name: string): number;
  /** Id and slot of an instance that is in force; undefined: it is not. */
  instance(name: string): { id: number; slot: number } | undefined;
  hasPort(name: string): boolean;
  device(name: string): number | undefined;
  isSeenByXdp(device: string): boolean;
}

export { portName };

/** Slots are named by function; an instance with a program of its own has one of its own. */
export const slotName = (instance: Instance): string =>
  instance.program === undefined ? instance.function : instance.name;

/**
 * One port's rows. Instances of its chains that are not in force are left out: packets pass them by. A peer that does not
 * exist gets none.
 * @throws Fault `missing`: its own instance is not in force; `chain-full`
 */
export function compilePort(port: Port, scope: PortScope): PortRows {
  const owner = scope.instance(port.instance);
  if (!owner) throw new Fault("missing", `place port: no instance ${port.instance}`);
  const chain = (direction: Chain): Hop[] => {
    const instances = port[direction].flatMap((instance) => scope.instance(instance) ?? []);
    if (instances.length <= MAX_CHAIN) return instances.map(call);
    const size = `${instances.length} functions, at most ${MAX_CHAIN} fit`;
    throw new Fault("chain-full", `place ${direction} chain: ${size}`);
  };
  return {
    id: scope.port(portName(port)),
    ingress: [...chain("ingress"), terminal(port, owner, scope)],
    egress: [...chain("egress"), deliver(port, owner, scope)],
    entry: port.entry === undefined ? undefined : scope.device(port.entry),
  };
}

/** A port's peer is a port that does not exist. */
export const noPeer = (port: string): Fault => new Fault("no-port", `connect port: no port ${port}`);

interface Placed {
  id: number;
  slot: number;
}

const hop = (op: Hop["op"], target = 0): Hop => ({ op, slot: 0, instance: 0, target });

const call = ({ id, slot }: Placed): Hop => ({ ...hop("call"), slot, instance: id });

/** The port's own function. One that hands packets back to a device reads there which one. */
function terminal({ peer }: Port, owner: Placed, scope: PortScope): Hop {
  const own = call(owner);
  if (peer.kind === "back") return { ...own, target: scope.device(peer.device) ?? 0 };
  if (peer.kind === "sockets") return { ...own, target: scope.device(peer.device) ?? 0, flags: TURNED };
  return own;
}

function deliver({ peer }: Port, owner: Placed, scope: PortScope): Hop {
  if (peer.kind === "none") return hop("down");
  if (peer.kind === "stack") return hop("stack");
  if (peer.kind === "port") {
    return scope.hasPort(peer.port) ? hop("jump", firstHop(scope.port(peer.port), "ingress")) : hop("down");
  }
  const ifindex = scope.device(peer.device);
  if (ifindex === undefined) return hop("down"); // whoever makes the device reports that it is missing
  if (peer.kind === "device") return hop(deliveryOf(peer, scope), ifindex);
  if (peer.kind === "back") return hop("back", ifindex);
  if (peer.kind === "sockets") return { ...hop("back", ifindex), flags: TURNED };
  // the port's function says again by which tunnel a packet leaves that has lost it on a detour
  return { ...call(owner), op: "tunnel", target: ifindex };
}

type DevicePeer = Extract<Peer, { kind: "device" }>;

/** The fast way into a pod leads past its device's native XDP programs: a device with one gets its packets by the veth. */
export function deliveryOf(
  { delivery, device }: DevicePeer,
  { isSeenByXdp }: Pick<PortScope, "isSeenByXdp">,
): DevicePeer["delivery"] {
  return delivery === "peer" && isSeenByXdp(device) ? "redirect" : delivery;
}
