import { MAX_PORTS } from "./layout.ts";

/** Capacity of a panel. Fixed when the panel is created, and part of its folder's name. */
export interface PanelSizes {
  /** Ports: pods, plus a few of the node's own. */
  ports: number;
}

/** `WEIR_PORTS`: the map sizes in the sources are for this many ports. */
const DECLARED = 4096;
export const DEFAULT_SIZES: PanelSizes = { ports: DECLARED };

/** Maps with rows by port, instance or pod address, of the panel and of functions. */
const BY_PORTS: ReadonlySet<string> = new Set([
  ...["weir_devices", "weir_hops", "weir_courses", "weir_ports", "weir_up_rates", "weir_cgroups"],
  ...["weir_leases", "weir_drops", "weir_names"],
  ...["weir_rt_hosts", "weir_rt_ports", "weir_rt_icmp"],
  ...["weir_limits", "weir_limit_queue", "weir_limit_use", "weir_impairs", "weir_impair_use", "weir_custom_use"],
]);

/** Rows that are needed for any number of ports: names of functions, shapers and other nodes. */
const FIXED: Readonly<Record<string, number>> = { weir_names: 16_384 };

/** The size of a map, scaled from the size in the sources. */
export function rowsFor(map: string, declared: number, { ports }: PanelSizes): number {
  const fixed = FIXED[map] ?? 0;
  return BY_PORTS.has(map) ? fixed + Math.ceil(((declared - fixed) * ports) / DECLARED) : declared;
}

/** @throws RangeError if hop ids have no room for so many ports */
export function checkSizes(sizes: PanelSizes): PanelSizes {
  const { ports } = sizes;
  if (Number.isInteger(ports) && ports >= 16 && ports <= MAX_PORTS) return sizes;
  throw new RangeError(`size panel: ${ports} ports (a number from 16 to ${MAX_PORTS} fits)`);
}
