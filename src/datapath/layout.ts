/** Ids and rows of the panel's hops, as defined in `bpf/weir.h`. Sizes are compared with BTF when a panel opens. */
export const PORT_HOPS = 32;
export const CHAIN_HOPS = 16;
/** The number of ports that a hop's id has room for. */
export const MAX_PORTS = 16384;
export const MAX_SLOTS = 1024;
/** The number of rows of `weir_tunnels`; row 0 means no tunnel. */
export const MAX_TUNNELS = 8192;
/** The most transparent functions in one chain; the last hop is the terminal one. */
export const MAX_CHAIN = CHAIN_HOPS - 1;

export const OPS = ["down", "call", "jump", "peer", "redirect", "receive", "neigh", "tunnel", "stack", "back"] as const;
export type Op = (typeof OPS)[number];

/** `WEIR_HOP_TURNED`: packets are handed back in the device's opposite direction. */
export const TURNED = 1;

/** `struct weir_hop`, without its chain's course. */
export interface Hop {
  op: Op;
  slot: number;
  instance: number;
  target: number;
  /** `WEIR_HOP_*` flags; none by default. */
  flags?: number;
}

export type Chain = "ingress" | "egress";
export const CHAINS: readonly Chain[] = ["ingress", "egress"];

/** Id of the first hop of a port's chain. */
export function firstHop(port: number, direction: Chain): number {
  return port * PORT_HOPS + (direction === "egress" ? CHAIN_HOPS : 0);
}

/** The row of `weir_hops` with a port's hops in one generation. */
export const hopRow = (port: number, generation: number): number => port * 2 + generation;

/** `WEIR_MARK_ABI`: the number in a mark that identifies its panel's ABI. */
export const markNumber = (abi: number): number => (abi === 1 ? 0 : abi & 7);

/** A mark with which `weir_resume` of a panel of this ABI continues at this hop. */
export function markOf(hop: number, abi: number, flags = 0): number {
  return (hop | (markNumber(abi) << 28) | flags) >>> 0;
}

/** The port in rows of `weir_drops` for removed ports. Not a valid port id. */
export const GONE = 0xffffffff;
/** The port in rows of `weir_drops` for packets dropped before their port was known. */
export const NO_PORT = 0;
