import { MAX_PORTS } from "./layout.ts";

/** How large a node may become; fixed when its panel is made, and part of the panel's name. */
export interface PanelSizes {
  /** Ports: pods, and a few of the node's own. */
  ports: number;
}

/** `WEIR_PORTS`: the sizes in the sources are for a node with this many ports. */
const DECLARED = 4096;
export const DEFAULT_SIZES: PanelSizes = { ports: DECLARED };

/** Maps that have rows by port, instance or pod's address, of the panel and of functions. */
const BY_PORTS: ReadonlySet<string> = new Set([
  ...["weir_devices", "weir_hops", "weir_courses", "weir_ports", "weir_up_rates", "weir_cgroups"],
  ...["weir_leases", "weir_drops", "weir_names"],
  ...["weir_rt_hosts", "weir_rt_ports", "weir_rt_icmp"],
  ...["weir_limits", "weir_limit_queue", "weir_limit_use", "weir_impairs", "weir_impair_use", "weir_custom_use"],
]);

/** Of these rows so many are there however many ports a node has: names of functions, shapers and other nodes. */
const FIXED: Readonly<Record<string, number>> = { weir_names: 16_384 };

/** Rows of a map on a node of this size, where its object declares so many for one of the usual size. */
export function rowsFor(map: string, declared: number, { ports }: PanelSizes): number {
  const fixed = FIXED[map] ?? 0;
  return BY_PORTS.has(map) ? fixed + Math.ceil(((declared - fixed) * ports) / DECLARED) : declared;
}

/** @throws RangeError if hops' ids have no room for so many ports */
export function checkSizes(sizes: PanelSizes): PanelSizes {
  const { ports } = sizes;
  if (Number.isInteger(ports) && ports >= 16 && ports <= MAX_PORTS) return sizes;
  throw new RangeError(`size panel: ${ports} ports (a number from 16 to ${MAX_PORTS} fits)`);
}
