import type { PairLink } from "./document.ts";

/** The panel's own devices on every node: packets go into `…0` and come back to the panel from `…1`. */
export const RECIRC = { device: "weir_recirc0", other: "weir_recirc1" } as const;
export const SPLIT = { device: "weir_split0", other: "weir_split1" } as const;
/** Made where the kernel can hold packets. */
export const DELAY = { device: "weir_delay0", other: "weir_delay1" } as const;
export const SHAPE = { device: "weir_shape0", other: "weir_shape1" } as const;

/** The largest MTU of a veth: what fits a pod's device always fits the panel's. */
const MTU = 65535;

export function panelLinks(): PairLink[] {
  return [RECIRC, SPLIT, SHAPE].map((pair) => ({ ...plain(pair), offloads: pair !== SPLIT }));
}

export function delayLinks(): PairLink[] {
  return [{ ...plain(DELAY), qdisc: "fq" }];
}

function plain(pair: { device: string; other: string }): PairLink {
  return { kind: "pair", ...pair, mac: "", mtu: MTU, ipv6: false, offloads: true, resume: true };
}
