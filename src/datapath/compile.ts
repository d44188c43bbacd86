import type { DesiredState, Instance, Peer, Port } from "../model/desired.ts";
import { firstHop, type Hop, MAX_CHAIN, TURNED } from "./layout.ts";

/** Ids that a compilation needs; `device` gives an ifindex, undefined while the device does not exist. */
export interface Ids {
  port(name: string): number;
  instance(name: string): number;
  shaper(owner: string): number;
  slot(functionName: string): number;
  device(name: string): number | undefined;
  /** Whether a native XDP program waits at the device's other end; none does if left out. */
  isSeenByXdp?(device: string): boolean;
}

export interface Tunnel {
  vni: number;
  remote: string;
}

/** One generation of the panel: hop rows by id, ports by ifindex, tunnels by port, and what could not be placed. */
export interface Generation {
  hops: Map<number, Hop>;
  devices: Map<number, number>;
  tunnels: Map<number, Tunnel>;
  problems: { object: string; message: string }[];
}

type Topology = Pick<DesiredState, "instances" | "ports">;

export const portName = (port: Port): string => `${port.instance}:${port.name}`;

/** Slots are named by function; an instance with a program of its own has one of its own. */
export const slotName = (instance: Instance): string =>
  instance.program === undefined ? instance.function : instance.name;

/** Turns a topology into rows. Pure but for `ids`, which may hand out new ones. */
export function compile(topology: Topology, ids: Ids): Generation {
  const functions = new Map(topology.instances.map((instance) => [instance.name, slotName(instance)]));
  const names = new Set(topology.ports.map(portName));
  const out: Generation = { hops: new Map(), devices: new Map(), tunnels: new Map(), problems: [] };
  for (const port of topology.ports) placePort(port, functions, names, ids, out);
  return out;
}

function placePort(
  port: Port,
  functions: ReadonlyMap<string, string>,
  names: ReadonlySet<string>,
  ids: Ids,
  out: Generation,
): void {
  const name = portName(port);
  const id = ids.port(name);
  const owner = functions.get(port.instance);
  const fault = portFault(port, owner, functions);
  if (fault || !owner) {
    out.problems.push({ object: `port ${name}`, message: fault ?? "" });
    return;
  }
  for (const direction of ["ingress", "egress"] as const) {
    let hop = firstHop(id, direction);
    for (const instance of port[direction]) {
      out.hops.set(hop++, call(ids, functions.get(instance) ?? "", instance, id));
    }
    const last = direction === "ingress" ? terminal(port, owner, id, ids) : deliver(port, id, names, ids, out);
    out.hops.set(hop, last);
  }
  const entry = port.entry === undefined ? undefined : ids.device(port.entry);
  if (entry !== undefined) out.devices.set(entry, id);
}

function portFault(port: Port, owner: string | undefined, functions: ReadonlyMap<string, string>): string | undefined {
  if (!owner) return `place port: no instance ${port.instance}`;
  for (const direction of ["ingress", "egress"] as const) {
    if (port[direction].length > MAX_CHAIN) {
      return `place ${direction} chain: ${port[direction].length} functions, at most ${MAX_CHAIN} fit`;
    }
    const unknown = port[direction].find((instance) => !functions.has(instance));
    if (unknown) return `place ${direction} chain: no instance ${unknown}`;
  }
  return undefined;
}

function call(ids: Ids, functionName: string, instance: string, port: number): Hop {
  return { op: "call", slot: ids.slot(functionName), instance: ids.instance(instance), port, target: 0 };
}

/** The port's own function. One that hands packets back to a device reads there which one. */
function terminal({ instance, peer }: Port, owner: string, id: number, ids: Ids): Hop {
  const hop = call(ids, owner, instance, id);
  if (peer.kind === "back") return { ...hop, target: ids.device(peer.device) ?? 0 };
  if (peer.kind === "sockets") return { ...hop, target: ids.device(peer.device) ?? 0, flags: TURNED };
  return hop;
}

function deliver(port: Port, id: number, names: ReadonlySet<string>, ids: Ids, out: Generation): Hop {
  const hop = (op: Hop["op"], target = 0): Hop => ({ op, slot: 0, instance: 0, port: id, target });
  const peer: Peer = port.peer;
  if (peer.kind === "none") return hop("down");
  if (peer.kind === "stack") return hop("stack");
  if (peer.kind === "port") {
    if (!names.has(peer.port)) {
      out.problems.push({ object: `port ${portName(port)}`, message: `connect port: no port ${peer.port}` });
      return hop("down");
    }
    return hop("jump", firstHop(ids.port(peer.port), "ingress"));
  }
  const ifindex = ids.device(peer.device);
  if (ifindex === undefined) return hop("down"); // the reconciler reports the missing device
  if (peer.kind === "device") return hop(deliveryOf(peer, ids), ifindex);
  if (peer.kind === "back") return hop("back", ifindex);
  if (peer.kind === "sockets") return { ...hop("back", ifindex), flags: TURNED };
  out.tunnels.set(id, { vni: peer.vni, remote: peer.remote });
  return hop("tunnel", ifindex);
}

type DevicePeer = Extract<Peer, { kind: "device" }>;

/** The fast way into a pod leads past its device's native XDP programs: a device with one gets its packets by the veth. */
export function deliveryOf({ delivery, device }: DevicePeer, ids: Pick<Ids, "isSeenByXdp">): DevicePeer["delivery"] {
  return delivery === "peer" && ids.isSeenByXdp?.(device) ? "redirect" : delivery;
}

/**
 * Tail calls of the longest path that enters no instance twice. A path over MAX_CALLS is recirculated by the panel
 * as it goes, and a packet that circles is dropped after 15 rounds; this figure says beforehand what a topology costs.
 */
export function longestPath(topology: Topology): number {
  const instances = new Map<string, Port[]>();
  for (const port of topology.ports) {
    const ports = instances.get(port.instance);
    if (ports) ports.push(port);
    else instances.set(port.instance, [port]);
  }
  const byName = new Map(topology.ports.map((port) => [portName(port), port]));
  const through = (instance: string, seen: ReadonlySet<string>): number => {
    const inside = new Set(seen).add(instance);
    let longest = 0;
    for (const out of instances.get(instance) ?? []) {
      const next = out.peer.kind === "port" ? byName.get(out.peer.port) : undefined;
      const onward = next && !inside.has(next.instance);
      const rest = onward ? next.ingress.length + through(next.instance, inside) : 0;
      longest = Math.max(longest, out.egress.length + rest);
    }
    return 1 + longest;
  };
  const starts = topology.ports.filter((port) => port.entry !== undefined);
  const chains = new Map<string, number>();
  for (const { instance, ingress } of starts) {
    chains.set(instance, Math.max(chains.get(instance) ?? 0, ingress.length));
  }
  return Math.max(0, ...[...chains].map(([instance, chain]) => chain + through(instance, new Set())));
}
