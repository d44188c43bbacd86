import { type Instance, type Peer, type Port, portName } from "../model/document.ts";
import { Fault } from "./fault.ts";
import { type Chain, firstHop, type Hop, MAX_CHAIN, TURNED } from "./layout.ts";

/** A compiled port: the hops of its chains, ending in a terminal hop, and the device whose packets enter there. */
export interface PortRows {
  id: number;
  ingress: readonly Hop[];
  egress: readonly Hop[];
  /** Index of the device whose packets enter here. */
  entry: number | undefined;
}

/** What names in a port resolve to. */
export interface PortScope {
  port(name: string): number;
  /** Id and program slot of an instance; undefined: it is not in force. */
  instance(name: string): { id: number; slot: number } | undefined;
  hasPort(name: string): boolean;
  device(name: string): number | undefined;
  isSeenByXdp(device: string): boolean;
}

export { portName };

/** A slot is named after the function; an instance with a user's program has a slot of its own. */
export const slotName = (instance: Instance): string =>
  instance.program === undefined ? instance.function : instance.name;

/**
 * Compiles one port. Instances that are not in force are left out of its chains. If its peer does not exist, packets to
 * it are dropped as `port_down`.
 * @throws Fault `missing`: the port's own instance is not in force; `chain-full`
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

/** The fault of a port whose peer port does not exist. */
export const noPeer = (port: string): Fault => new Fault("no-port", `connect port: no port ${port}`);

interface Placed {
  id: number;
  slot: number;
}

const hop = (op: Hop["op"], target = 0): Hop => ({ op, slot: 0, instance: 0, target });

const call = ({ id, slot }: Placed): Hop => ({ ...hop("call"), slot, instance: id });

/** The terminal hop of an egress chain. A hop that hands packets back to a device names that device. */
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
  if (ifindex === undefined) return hop("down"); // the link reports the missing device
  if (peer.kind === "device") return hop(deliveryOf(peer, scope), ifindex);
  if (peer.kind === "back") return hop("back", ifindex);
  if (peer.kind === "sockets") return { ...hop("back", ifindex), flags: TURNED };
  // a packet that lost its tunnel id on a detour gets it again from the port's own function
  return { ...call(owner), op: "tunnel", target: ifindex };
}

type DevicePeer = Extract<Peer, { kind: "device" }>;

/**
 * `bpf_redirect_peer` bypasses native XDP programs on a pod's device. If there is one, packets are sent through the
 * veth instead.
 */
export function deliveryOf(
  { delivery, device }: DevicePeer,
  { isSeenByXdp }: Pick<PortScope, "isSeenByXdp">,
): DevicePeer["delivery"] {
  return delivery === "peer" && isSeenByXdp(device) ? "redirect" : delivery;
}
