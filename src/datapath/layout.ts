/** The panel's hop ids and rows, as `bpf/weir.h` defines them; sizes are asserted against BTF when a panel opens. */
export const PORT_HOPS = 32;
export const CHAIN_HOPS = 16;
/** Ports that a hop's id has room for. */
export const MAX_PORTS = 16384;
export const MAX_SLOTS = 1024;
/** Rows of `weir_tunnels`; 0 is none. */
export const MAX_TUNNELS = 8192;
/** Transparent functions that one chain holds; the last hop is the terminal one. */
export const MAX_CHAIN = CHAIN_HOPS - 1;

export const OPS = ["down", "call", "jump", "peer", "redirect", "receive", "neigh", "tunnel", "stack", "back"] as const;
export type Op = (typeof OPS)[number];

/** `WEIR_HOP_TURNED`: packets are handed back in the device's other direction. */
export const TURNED = 1;

/** A hop: `struct weir_hop`, but for its chain's course. */
export interface Hop {
  op: Op;
  slot: number;
  instance: number;
  target: number;
  /** `WEIR_HOP_*`; none if left out. */
  flags?: number;
}

export type Chain = "ingress" | "egress";
export const CHAINS: readonly Chain[] = ["ingress", "egress"];

/** First hop of a port's chain. */
export function firstHop(port: number, direction: Chain): number {
  return port * PORT_HOPS + (direction === "egress" ? CHAIN_HOPS : 0);
}

/** Row of `weir_hops` that holds a port's hops in a generation. */
export const hopRow = (port: number, generation: number): number => port * 2 + generation;

/** The number that tells the marks of an ABI apart, `WEIR_MARK_ABI`. */
export const markNumber = (abi: number): number => (abi === 1 ? 0 : abi & 7);

/** A mark that makes `weir_resume` begin at this hop as it stands: what a panel of this ABI understands. */
export function markOf(hop: number, abi: number, flags = 0): number {
  return (hop | (markNumber(abi) << 28) | flags) >>> 0;
}

/** In `weir_drops`, the port of those that are gone: no port has this id. */
export const GONE = 0xffffffff;
/** … and of packets that were dropped before theirs was known. */
export const NO_PORT = 0;
