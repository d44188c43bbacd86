import type { PairLink } from "./document.ts";

/** The panel's own device pairs: packets sent to `…0` return to the panel from `…1`. */
export const RECIRC = { device: "weir_recirc0", other: "weir_recirc1" } as const;
export const SPLIT = { device: "weir_split0", other: "weir_split1" } as const;
/** Only created if the kernel has fq. */
export const DELAY = { device: "weir_delay0", other: "weir_delay1" } as const;
export const SHAPE = { device: "weir_shape0", other: "weir_shape1" } as const;

/** Maximum MTU of a veth, so that every packet of a pod's device fits. */
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
