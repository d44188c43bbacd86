import { type Instance, type Peer, type Port, portName } from "../model/document.ts";
import { Fault } from "./fault.ts";
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

/** One port's part of a generation. */
export interface PortRows {
  id: number;
  hops: ReadonlyMap<number, Hop>;
  /** Index of the device whose packets enter by it. */
  entry: number | undefined;
  tunnel: Tunnel | undefined;
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

/** Instances and ports of a document. */
export interface Topology {
  instances: readonly Instance[];
  ports: readonly Port[];
}

export { portName };

/** Slots are named by function; an instance with a program of its own has one of its own. */
export const slotName = (instance: Instance): string =>
  instance.program === undefined ? instance.function : instance.name;

/** Turns a topology into rows. Pure but for `ids`, which may hand out new ones. */
export function compile(topology: Topology, ids: Ids): Generation {
  const functions = new Map(topology.instances.map((instance) => [instance.name, slotName(instance)]));
  const names = new Set(topology.ports.map(portName));
  const out: Generation = { hops: new Map(), devices: new Map(), tunnels: new Map(), problems: [] };
  const scope: PortScope = {
    port: ids.port,
    instance(name) {
      const slot = functions.get(name);
      return slot === undefined ? undefined : { id: ids.instance(name), slot: ids.slot(slot) };
    },
    hasPort: (name) => names.has(name),
    device: ids.device,
    isSeenByXdp: (device) => ids.isSeenByXdp?.(device) ?? false,
  };
  for (const port of topology.ports) {
    try {
      const unknown = [...port.ingress, ...port.egress].find((instance) => !functions.has(instance));
      if (unknown !== undefined) throw new Error(`place chain: no instance ${unknown}`);
      const { id, hops, entry, tunnel } = compilePort(port, scope);
      for (const [hop, row] of hops) out.hops.set(hop, row);
      if (entry !== undefined) out.devices.set(entry, id);
      if (tunnel) out.tunnels.set(id, tunnel);
      if (port.peer.kind === "port" && !names.has(port.peer.port)) throw noPeer(port.peer.port);
    } catch (error) {
      out.problems.push({ object: `port ${portName(port)}`, message: (error as Error).message });
    }
  }
  return out;
}

/**
 * One port's rows. Instances of its chains that are not in force are left out: packets pass them by. A peer that does not
 * exist gets none.
 * @throws Fault `missing`: its own instance is not in force; `chain-full`
 */
export function compilePort(port: Port, scope: PortScope): PortRows {
  const owner = scope.instance(port.instance);
  if (!owner) throw new Fault("missing", `place port: no instance ${port.instance}`);
  const id = scope.port(portName(port));
  const hops = new Map<number, Hop>();
  for (const direction of ["ingress", "egress"] as const) {
    const chain = port[direction].flatMap((instance) => scope.instance(instance) ?? []);
    if (chain.length > MAX_CHAIN) {
      const size = `${chain.length} functions, at most ${MAX_CHAIN} fit`;
      throw new Fault("chain-full", `place ${direction} chain: ${size}`);
    }
    let hop = firstHop(id, direction);
    for (const instance of chain) hops.set(hop++, call(instance, id));
    hops.set(hop, direction === "ingress" ? terminal(port, owner, id, scope) : deliver(port, id, scope));
  }
  const { peer } = port;
  const isReached = peer.kind === "tunnel" && scope.device(peer.device) !== undefined;
  return {
    id,
    hops,
    entry: port.entry === undefined ? undefined : scope.device(port.entry),
    tunnel: isReached ? { vni: peer.vni, remote: peer.remote } : undefined,
  };
}

/** A port's peer is a port that does not exist. */
export const noPeer = (port: string): Fault => new Fault("no-port", `connect port: no port ${port}`);

const call = ({ id, slot }: { id: number; slot: number }, port: number): Hop => ({
  op: "call",
  slot,
  instance: id,
  port,
  target: 0,
});

/** The port's own function. One that hands packets back to a device reads there which one. */
function terminal({ peer }: Port, owner: { id: number; slot: number }, port: number, scope: PortScope): Hop {
  const hop = call(owner, port);
  if (peer.kind === "back") return { ...hop, target: scope.device(peer.device) ?? 0 };
  if (peer.kind === "sockets") return { ...hop, target: scope.device(peer.device) ?? 0, flags: TURNED };
  return hop;
}

function deliver({ peer }: Port, id: number, scope: PortScope): Hop {
  const hop = (op: Hop["op"], target = 0): Hop => ({ op, slot: 0, instance: 0, port: id, target });
  if (peer.kind === "none") return hop("down");
  if (peer.kind === "stack") return hop("stack");
  if (peer.kind === "port") {
    return scope.hasPort(peer.port) ? hop("jump", firstHop(scope.port(peer.port), "ingress")) : hop("down");
  }
  const ifindex = scope.device(peer.device);
  if (ifindex === undefined) return hop("down");
  if (peer.kind === "device") return hop(deliveryOf(peer, scope), ifindex);
  if (peer.kind === "back") return hop("back", ifindex);
  if (peer.kind === "sockets") return { ...hop("back", ifindex), flags: TURNED };
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
