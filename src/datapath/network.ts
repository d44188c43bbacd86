import {
  addRoute,
  changeTc,
  classBacklogs,
  type DeviceInfo,
  findLink,
  type HtbRate,
  htbRates,
  KernelError,
  links,
  type QdiscInfo,
  qdiscs,
  type RouteInfo,
  removeLink,
  removeRoute,
  routes,
  setLink,
  steerFlows,
  type TcChange,
  WEIR_ROUTE_PROTOCOL,
} from "../kernel/index.ts";
import type { Link, PodLink, Route } from "../model/document.ts";
import { activateLink, fitLink, isConfigured, makeLink } from "./link-work.ts";
import { forgetRoutes, isBare } from "./pods.ts";

/** The operations on the network namespace: on the kernel's, or on its in-memory double. */
export interface Network {
  devices(): DeviceInfo[];
  device(name: string): DeviceInfo | undefined;
  /** Creates a link's devices, which stay down. */
  make(link: Link): void;
  /** Sets MAC address and MTU. */
  fit(link: Link, now: DeviceInfo): void;
  /** Configures the rest, and brings the devices up. */
  activate(link: Link): void;
  /** Whether the kernel has removed all routes of a pod. */
  isBare(link: PodLink): boolean;
  /** Whether the settings of a link's devices in this namespace are those that `activate` makes. */
  isConfigured(link: Link): boolean;
  /** Gives a renamed device its name back. Returns false if it does not exist any more. */
  recall(device: DeviceInfo): boolean;
  /** Returns false if there was no such device. */
  remove(device: string): boolean;
  setMtu(device: string, mtu: number): void;
  /** Steers the flows that a device receives. Returns the reason if packets of a flow may be reordered. */
  steer(device: string): string | undefined;
  /** The most segments per packet from a pod's sockets; undefined: the pod has renamed its device. */
  segments(link: PodLink): number | undefined;
  setSegments(link: PodLink, segments: number): void;
  /** Routes with Weir's protocol number. */
  routes(): RouteInfo[];
  /** Returns false if another route has its place. */
  addRoute(route: Route): boolean;
  removeRoute(route: RouteInfo): void;
  /** The qdiscs of a device; none if it does not exist. */
  qdiscs(device: string): QdiscInfo[];
  /** The HTB classes of a device. */
  classes(device: string): HtbRate[];
  /** Queued bytes of some classes, by handle; without those that do not exist. */
  classBacklogs(device: string, handles: readonly number[]): ReadonlyMap<number, number>;
  changeTc(device: string, changes: TcChange[]): void;
}

export const kernelNetwork: Network = {
  devices: () => links(undefined, { counters: false }),
  device: (name) => findLink(name),
  make: makeLink,
  fit: fitLink,
  activate: activateLink,
  isBare,
  isConfigured,
  recall({ ifindex, kind, mac, name }) {
    const now = findLink(ifindex);
    if (now?.kind !== kind || now.mac !== mac) return false; // another device may have the index by now
    try {
      setLink(ifindex, { name });
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === "EBUSY")) throw error;
      setLink(ifindex, { up: false }); // older kernels rename no device that is up
      setLink(ifindex, { name });
    }
    return true;
  },
  remove: (device) => removeLink(device),
  setMtu: (device, mtu) => setLink(device, { mtu }),
  steer: (device) => steerFlows(device),
  segments: ({ ifname, netns }) => findLink(ifname, netns)?.gsoMaxSegs,
  setSegments(link, segments) {
    setLink(link.ifname, { gsoMaxSegs: segments }, link.netns);
    forgetRoutes(link);
  },
  routes: () => routes(undefined, WEIR_ROUTE_PROTOCOL),
  addRoute: (route) => addRoute(route),
  removeRoute: ({ cidr, ifindex, metric }) => void removeRoute({ cidr, device: ifindex, metric }),
  qdiscs: (device) => ofDevice(() => qdiscs(undefined, device)),
  classes: (device) => ofDevice(() => htbRates(device)),
  classBacklogs: (device, handles) => new Map(ofDevice(() => [...classBacklogs(device, handles)])),
  changeTc: (device, changes) => changeTc(device, changes),
};

function ofDevice<T>(list: () => T[]): T[] {
  try {
    return list();
  } catch (error) {
    if (error instanceof KernelError && error.code === "device-missing") return [];
    throw error;
  }
}
