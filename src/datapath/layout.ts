/** The panel's hop ids, as `bpf/weir.h` defines them; sizes are asserted against BTF when a panel opens. */
export const PORT_HOPS = 16;
export const CHAIN_HOPS = 8;
export const MAX_PORTS = 4096;
export const MAX_SLOTS = 1024;
export const COURSES = 16384;
export const HOP_IDS = MAX_PORTS * PORT_HOPS;
/** Transparent functions that one chain holds; the last hop is the terminal one. */
export const MAX_CHAIN = CHAIN_HOPS - 1;
/** Tail calls before the panel recirculates a packet. */
export const MAX_CALLS = 28;

export const OPS = ["down", "call", "jump", "peer", "redirect", "receive", "neigh", "tunnel", "stack", "back"] as const;
export type Op = (typeof OPS)[number];

/** `WEIR_HOP_TURNED`: packets are handed back in the device's other direction. */
export const TURNED = 1;

/** A row of `weir_hops`. */
export interface Hop {
  op: Op;
  slot: number;
  instance: number;
  port: number;
  target: number;
  /** `WEIR_HOP_*`; none if left out. */
  flags?: number;
}

/** First hop of a port's chain. */
export function firstHop(port: number, direction: "ingress" | "egress"): number {
  return port * PORT_HOPS + (direction === "egress" ? CHAIN_HOPS : 0);
}

/** In `weir_drops`, the port of those that are gone: no port has this id. */
export const GONE = 0xffffffff;
