import type { DesiredState, Instance, Peer, Port } from "../model/desired.ts";
import { CHAINS, type Chain, firstHop, type Hop, MAX_CHAIN, TURNED } from "./layout.ts";

/** Ids by name; those that hand out new ones throw when all are taken or the name is too long. */
export interface Ids {
  port(name: string): number;
  instance(name: string): number;
  shaper(owner: string): number;
  slot(functionName: string): number;
  tunnel(name: string): number;
  /** An ifindex; undefined while the device does not exist. */
  device(name: string): number | undefined;
  /** Whether a native XDP program waits at the device's other end; none does if left out. */
  isSeenByXdp?(device: string): boolean;
}

/** What a port's rows depend on beside the port itself. */
export interface Surroundings {
  /** Name of the slot of an instance's program; undefined: there is no such instance. */
  slotOf(instance: string): string | undefined;
  hasPort(name: string): boolean;
}

/** A port in numbers: its chains with their terminal hops, and the device whose ingress enters there. */
export interface PortRows {
  id: number;
  ingress: readonly Hop[];
  egress: readonly Hop[];
  entry: number | undefined;
}

/** What became of a port. Without rows it cannot be in force. */
export interface Compiled {
  rows: PortRows | undefined;
  /** Why it has no rows, or does not work as it should. */
  problem: string | undefined;
  /** Devices that it names and that do not exist. */
  missing: readonly string[];
}

export const portName = (port: Port): string => `${port.instance}:${port.name}`;

/** Slots are named by function; an instance with a program of its own has one of its own. */
export const slotName = (instance: Instance): string =>
  instance.program === undefined ? instance.function : instance.name;

/** Every port of a topology, by full name. */
export function compile(topology: Pick<DesiredState, "instances" | "ports">, ids: Ids): Map<string, Compiled> {
  const slots = new Map(topology.instances.map((instance) => [instance.name, slotName(instance)]));
  const names = new Set(topology.ports.map(portName));
  const around: Surroundings = { slotOf: (instance) => slots.get(instance), hasPort: (name) => names.has(name) };
  return new Map(topology.ports.map((port) => [portName(port), compilePort(port, around, ids)]));
}

/** Turns one port into rows. Pure but for `ids`; never throws: what is wrong with a port is its own problem. */
export function compilePort(port: Port, around: Surroundings, ids: Ids): Compiled {
  const problem = faultOf(port, around);
  if (problem !== undefined) return { rows: undefined, problem, missing: [] };
  try {
    return place(port, around, ids);
  } catch (error) {
    return { rows: undefined, problem: `place port: ${(error as Error).message}`, missing: [] };
  }
}

function faultOf(port: Port, { slotOf }: Surroundings): string | undefined {
  if (slotOf(port.instance) === undefined) return `place port: no instance ${port.instance}`;
  for (const chain of CHAINS) {
    if (port[chain].length > MAX_CHAIN) {
      return `place ${chain} chain: ${port[chain].length} functions, at most ${MAX_CHAIN} fit`;
    }
    const unknown = port[chain].find((instance) => slotOf(instance) === undefined);
    if (unknown !== undefined) return `place ${chain} chain: no instance ${unknown}`;
  }
  return undefined;
}

function place(port: Port, around: Surroundings, ids: Ids): Compiled {
  const missing = new Set<string>();
  const device = (name: string): number | undefined => {
    const ifindex = ids.device(name);
    if (ifindex === undefined) missing.add(name);
    return ifindex;
  };
  const known: Ids = { ...ids, device };
  const chain = (direction: Chain): Hop[] => port[direction].map((instance) => call(instance, around, known));
  const isAlone = port.peer.kind === "port" && !around.hasPort(port.peer.port);
  const rows: PortRows = {
    id: ids.port(portName(port)),
    ingress: [...chain("ingress"), terminal(port, around, known)],
    egress: [...chain("egress"), isAlone ? hop("down") : deliver(port, around, known)],
    entry: port.entry === undefined ? undefined : device(port.entry),
  };
  const problem = isAlone ? `connect port: no port ${(port.peer as { port: string }).port}` : undefined;
  return { rows, problem, missing: [...missing] };
}

const hop = (op: Hop["op"], target = 0): Hop => ({ op, slot: 0, instance: 0, target });

function call(instance: string, around: Surroundings, ids: Ids): Hop {
  return { ...hop("call"), slot: ids.slot(around.slotOf(instance) ?? ""), instance: ids.instance(instance) };
}

/** The port's own function. One that hands packets back to a device reads there which one. */
function terminal({ instance, peer }: Port, around: Surroundings, ids: Ids): Hop {
  const own = call(instance, around, ids);
  if (peer.kind === "back") return { ...own, target: ids.device(peer.device) ?? 0 };
  if (peer.kind === "sockets") return { ...own, target: ids.device(peer.device) ?? 0, flags: TURNED };
  return own;
}

function deliver({ instance, peer }: Port, around: Surroundings, ids: Ids): Hop {
  if (peer.kind === "none") return hop("down");
  if (peer.kind === "stack") return hop("stack");
  if (peer.kind === "port") return hop("jump", firstHop(ids.port(peer.port), "ingress"));
  const ifindex = ids.device(peer.device);
  if (ifindex === undefined) return hop("down"); // whoever makes the device reports that it is missing
  if (peer.kind === "device") return hop(deliveryOf(peer, ids), ifindex);
  if (peer.kind === "back") return hop("back", ifindex);
  if (peer.kind === "sockets") return { ...hop("back", ifindex), flags: TURNED };
  // the port's function says again by which tunnel a packet leaves that has lost it on a detour
  return { ...call(instance, around, ids), op: "tunnel", target: ifindex };
}

type DevicePeer = Extract<Peer, { kind: "device" }>;

/** The fast way into a pod leads past its device's native XDP programs: a device with one gets its packets by the veth. */
export function deliveryOf({ delivery, device }: DevicePeer, ids: Pick<Ids, "isSeenByXdp">): DevicePeer["delivery"] {
  return delivery === "peer" && ids.isSeenByXdp?.(device) ? "redirect" : delivery;
}
