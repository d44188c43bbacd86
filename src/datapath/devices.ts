import {
  addAddress,
  addRoute,
  allowVni,
  changeTc,
  createVeth,
  createVxlan,
  type DeviceInfo,
  handle,
  links,
  type RouteInfo,
  removeLink,
  removeRoute,
  routes,
  setLink,
  setOffloads,
  TC_ROOT,
  WEIR_ROUTE_PROTOCOL,
  writeSysctl,
} from "../kernel/index.ts";
import type { Link, PairLink, PodLink, Route } from "../model/desired.ts";
import { familyOf } from "../model/ip.ts";
import type { Failure } from "./failure.ts";

/** Devices that Weir makes; others are never touched. */
const OWN = /^(weir_(recirc|split|shape|delay)[01]|weir_(host|panel|vxlan)|weir[0-9a-f]{11})$/;

/** Of a veth whose other end has no XDP program. */
const VETH_MAX_MTU = 65535;

export const isOwnDevice = (name: string): boolean => OWN.test(name);

/** Network devices and kernel routes of the namespace that this process lives in. */
export class Devices {
  /** Kernel objects made, changed or removed so far. */
  writes = 0;
  #known = new Map<string, DeviceInfo>();
  /** Made here and not yet brought up. */
  readonly #fresh = new Set<string>();

  constructor() {
    this.#refresh();
  }

  /** Index of a device; undefined while it does not exist. */
  ifindex(name: string): number | undefined {
    return this.#known.get(name)?.ifindex;
  }

  /** Does a native XDP program look at what this veth's other end receives? It makes the kernel bound what is sent there. */
  isSeenByXdp(name: string): boolean {
    const known = this.#known.get(name);
    return known?.kind === "veth" && known.maxMtu !== VETH_MAX_MTU;
  }

  /**
   * Makes missing devices, down: nothing may pass before the panel's programs are attached. Others get their MTU, but
   * for the panel's own pairs: who queues packets there fits it.
   */
  ensure(wanted: readonly Link[]): Failure[] {
    this.#refresh();
    const missing = wanted.filter((link) => !this.#serves(link));
    const failures = each(missing, (link) => this.#make(link));
    if (missing.length > 0) this.#refresh();
    const misfits = wanted.filter((link) => isFitted(link) && this.#known.get(link.device)?.mtu !== link.mtu);
    const present = misfits.filter((link) => this.#known.has(link.device));
    return [...failures, ...each(present, (link) => this.#fit(link))];
  }

  /** A VXLAN device cannot change its port, nor do we its network: one with another is as good as none. */
  #serves(link: Link): boolean {
    const known = this.#known.get(link.device);
    return known !== undefined && (link.kind !== "vxlan" || (known.udpPort === link.port && known.vni === link.vni));
  }

  #fit(link: Link): void {
    if (link.kind === "pod") setLink(link.ifname, { mtu: link.mtu }, link.netns);
    for (const device of endsOf(link).toReversed()) setLink(device, { mtu: link.mtu });
    this.writes++;
  }

  /**
   * Brings up devices that are down, with addresses and routes.
   * @param unguarded devices, as `device NAME`, that lack their program: what came in would pass the panel by
   */
  activate(wanted: readonly Link[], unguarded: ReadonlySet<string>): Failure[] {
    const isDown = (device: string) => this.#known.get(device)?.up === false || this.#fresh.has(device);
    const down = wanted.filter((link) => endsOf(link).some(isDown));
    return each(down, (link) => {
      if (!this.#known.has(link.device)) return; // it could not be made, and that was reported
      if (endsOf(link).some((device) => unguarded.has(`device ${device}`))) return; // reported too
      activateLink(link);
      this.#fresh.delete(link.device);
      this.writes++;
    });
  }

  /** Makes the node's routes of Weir's protocol number exactly the wanted ones. */
  ensureRoutes(wanted: readonly Route[], ofLinks: readonly Link[]): Failure[] {
    const specs = [...wanted, ...ofLinks.flatMap(pairRoutes)];
    const held = new Map(
      routes()
        .filter(isOwnRoute)
        .map((route) => [this.#heldKey(route), route]),
    );
    const failures = each(specs, (spec) => {
      if (held.delete(routeKey(spec))) return;
      addRoute(spec);
      this.writes++;
    });
    const replaced = new Set(specs.map((spec) => spec.cidr));
    for (const route of held.values()) {
      if (replaced.has(route.cidr)) continue; // adding the wanted one replaced it
      removeRoute({ cidr: route.cidr, device: route.ifindex, metric: route.metric });
      this.writes++;
    }
    return failures;
  }

  /** Removes Weir's devices that are not wanted. */
  prune(wanted: readonly Link[]): void {
    const keep = new Set(wanted.flatMap(endsOf));
    for (const name of [...this.#known.keys()]) {
      if (!isOwnDevice(name) || keep.has(name)) continue;
      if (removeLink(name)) this.writes++;
      this.#known.delete(name);
    }
  }

  #refresh(): void {
    this.#known = new Map(links(undefined, { counters: false }).map((info) => [info.name, info]));
  }

  #make(link: Link): void {
    if (this.#known.has(link.device)) removeLink(link.device);
    makeLink(link);
    this.#fresh.add(link.device);
    this.writes++;
  }

  #heldKey(route: RouteInfo): string {
    const device = [...this.#known.values()].find((info) => info.ifindex === route.ifindex)?.name ?? "";
    return routeKey({ cidr: route.cidr, device, via: route.via, source: route.source });
  }
}

/** The link's devices in this namespace. */
const endsOf = (link: Link): string[] => (link.kind === "pair" ? [link.device, link.other] : [link.device]);

const isFitted = (link: Link): boolean => link.kind !== "pair" || link.mac !== "";

type WantedRoute = { cidr: string; device: string; via?: string | undefined; source?: string | undefined };

const routeKey = ({ cidr, device, via = "", source = "" }: WantedRoute): string =>
  [cidr, device, via, source].join(" ");
const isOwnRoute = (route: RouteInfo): boolean => route.protocol === WEIR_ROUTE_PROTOCOL;

function pairRoutes(link: Link): WantedRoute[] {
  return link.kind === "pair" ? link.routes.map((route) => ({ ...route, device: link.device })) : [];
}

function each<T extends { device: string }>(items: readonly T[], work: (item: T) => void): Failure[] {
  const failures: Failure[] = [];
  for (const item of items) {
    try {
      work(item);
    } catch (error) {
      failures.push({ object: `device ${item.device}`, message: (error as Error).message });
    }
  }
  return failures;
}

function makeLink(link: Link): void {
  const { device, mtu } = link;
  if (link.kind === "vxlan") {
    createVxlan({ name: device, port: link.port, vni: link.vni, mtu });
  } else if (link.kind === "pod") {
    const peer = { name: link.ifname, netns: link.netns, mac: link.mac, mtu };
    createVeth({ name: device, mac: link.gatewayMac, mtu, peer });
  } else {
    createVeth({ name: device, mtu, ...(link.mac ? { mac: link.mac } : {}), peer: { name: link.other, mtu } });
  }
}

/** A device that is up counts as done, also for the next agent: so it comes up last. */
function activateLink(link: Link): void {
  if (link.kind === "pair") {
    activatePair(link);
    return;
  }
  silence(link.device);
  if (link.kind === "pod") activatePod(link);
  if (link.kind === "vxlan") allowVni(link.device, link.vni);
  setLink(link.device, { up: true });
}

/** Packets that wait on the delaying device, and how long one may, µs. */
const FQ = { limit: 1_000_000, flowLimit: 1_000_000, horizon: 60_000_000 };

function activatePair({ device, other, addresses, routes: ownRoutes, offloads, qdisc }: PairLink): void {
  const carriesStack = ownRoutes.length > 0 || addresses.length > 0;
  if (!carriesStack) silence(device);
  silence(other);
  // a checksum that is left for a device to fill in would hide what happens to the packet before it
  if (!offloads) setOffloads(device, { segmentation: false, txChecksum: false });
  if (qdisc) changeTc(device, [{ op: "set", kind: qdisc, handle: handle(1), parent: TC_ROOT, ...FQ }]);
  for (const cidr of addresses) addAddress(device, cidr);
  for (const name of [other, device]) setLink(name, { up: true });
}

/** A pod has its addresses alone, and everything else through its gateways. */
function activatePod({ netns, ifname, ips, gateways }: PodLink): void {
  setLink("lo", { up: true }, netns);
  setLink(ifname, { up: true }, netns);
  for (const ip of ips) addAddress(ifname, hostPrefix(ip), { noPrefixRoute: true }, netns);
  for (const via of gateways) {
    if (!ips.some((ip) => familyOf(ip) === familyOf(via))) continue;
    addRoute({ cidr: hostPrefix(via), device: ifname }, netns);
    addRoute({ cidr: familyOf(via) === 4 ? "0.0.0.0/0" : "::/0", via, device: ifname, onlink: true }, netns);
  }
}

const hostPrefix = (ip: string): string => `${ip}/${familyOf(ip) === 4 ? 32 : 128}`;

/** The node's stack has no business on this device: without addresses it sends no discovery or group reports. */
function silence(device: string): void {
  writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
}
