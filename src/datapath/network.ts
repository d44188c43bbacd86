import {
  addRoute,
  type ClassInfo,
  changeTc,
  classes,
  type DeviceInfo,
  findLink,
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
import { activateLink, fitLink, makeLink } from "./link-work.ts";
import { forgetRoutes, isBare } from "./pods.ts";

/** What the datapath does to the network namespace that it is for: the kernel's, or its twin in memory. */
export interface Network {
  devices(): DeviceInfo[];
  device(name: string): DeviceInfo | undefined;
  /** Makes a link's devices, down. */
  make(link: Link): void;
  /** Gives them their MAC and MTU. */
  fit(link: Link, now: DeviceInfo): void;
  /** Gives them all else that they should have, and brings them up. */
  activate(link: Link): void;
  /** Has the kernel taken all of a pod's routes? */
  isBare(link: PodLink): boolean;
  /** False if there was none. */
  remove(device: string): boolean;
  setMtu(device: string, mtu: number): void;
  /** Why packets of a flow that this device receives may overtake each other; undefined: they do not. */
  steer(device: string): string | undefined;
  /** Segments that a pod's sockets put into a packet; undefined: the pod has renamed its device. */
  segments(link: PodLink): number | undefined;
  setSegments(link: PodLink, segments: number): void;
  /** Routes of Weir's protocol. */
  routes(): RouteInfo[];
  /** False if another's stands in the way. */
  addRoute(route: Route): boolean;
  removeRoute(route: RouteInfo): void;
  /** Of a device; none of one that does not exist. */
  qdiscs(device: string): QdiscInfo[];
  classes(device: string): ClassInfo[];
  changeTc(device: string, changes: TcChange[]): void;
}

export const kernelNetwork: Network = {
  devices: () => links(undefined, { counters: false }),
  device: (name) => findLink(name),
  make: makeLink,
  fit: fitLink,
  activate: activateLink,
  isBare,
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
  classes: (device) => ofDevice(() => classes(device)),
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
