import {
  addAddress,
  allowVni,
  changeTc,
  createVeth,
  createVxlan,
  type DeviceInfo,
  findLink,
  handle,
  links,
  type NetworkNews,
  removeLink,
  setLink,
  setOffloads,
  TC_ROOT,
  writeSysctl,
} from "../kernel/index.ts";
import type { Link, PairLink, Route } from "../model/desired.ts";
import { parsePrefix } from "../model/ip.ts";
import { each, type Failure } from "./failure.ts";
import { activatePod, enableIpv6, isBare } from "./pods.ts";
import { Routes, type WantedRoute } from "./routes.ts";

/** Devices that Weir makes; others are never touched. */
const OWN = /^(weir_(recirc|split|shape|delay)[01]|weir_(host|panel|vxlan)|weir[0-9a-f]{11})$/;
const POD = /^weir[0-9a-f]{11}$/;

/** Of a veth whose other end has no XDP program. */
const VETH_MAX_MTU = 65535;

export const isOwnDevice = (name: string): boolean => OWN.test(name);

/** Network devices and kernel routes of the namespace that this process lives in. */
export class Devices {
  #known = new Map<string, DeviceInfo>();
  #names = new Map<number, string>();
  /** Made here and not yet brought up. */
  readonly #fresh = new Set<string>();
  /** Devices whose pod's end has all it should have, with their `carrierChanges` then: they lose it with their carrier. */
  readonly #carriers = new Map<string, number>();
  readonly #doubted = new Set<string>();
  /** Devices of the node that Weir's programs are on. */
  #others: ReadonlySet<string> = new Set();
  readonly #routes = new Routes();
  #written = 0;

  constructor() {
    this.#refresh();
  }

  /** Kernel objects made, changed or removed so far. */
  get writes(): number {
    return this.#written + this.#routes.writes;
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

  /** Names devices of the node that Weir's programs are on: news of them count too. */
  watch(others: Iterable<string>): void {
    this.#others = new Set(others);
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
    const misfits = wanted.filter((link) => !this.#fits(link));
    const present = misfits.filter((link) => this.#known.has(link.device));
    return [...failures, ...each(present, (link) => this.#fit(link))];
  }

  /** A VXLAN device cannot change its port, nor do we its network: one with another is as good as none, as is another kind. */
  #serves(link: Link): boolean {
    const known = this.#known.get(link.device);
    if (known?.kind !== (link.kind === "vxlan" ? "vxlan" : "veth")) return false;
    return link.kind !== "vxlan" || (known.udpPort === link.port && known.vni === link.vni);
  }

  #fits(link: Link): boolean {
    const mac = macOf(link);
    return this.#hasMtu(link) && (mac === undefined || this.#known.get(link.device)?.mac === mac);
  }

  #hasMtu(link: Link): boolean {
    return !isFitted(link) || endsOf(link).every((end) => this.#known.get(end)?.mtu === link.mtu);
  }

  #fit(link: Link): void {
    const { device, mtu } = link;
    const mac = macOf(link);
    if (mac !== undefined && this.#known.get(device)?.mac !== mac) setLink(device, { mac });
    if (!this.#hasMtu(link)) {
      if (link.kind === "pod") setLink(link.ifname, { mtu }, link.netns);
      for (const end of endsOf(link).toReversed()) setLink(end, { mtu });
    }
    this.#written++;
  }

  /**
   * Brings up devices that are down, with addresses and routes; a pod's end gets back what it lost with its carrier.
   * @param unguarded devices, as `device NAME`, that lack their program: what came in would pass the panel by
   */
  activate(wanted: readonly Link[], unguarded: ReadonlySet<string>): Failure[] {
    const isDown = (device: string) => this.#known.get(device)?.up === false || this.#fresh.has(device);
    const before = this.#written;
    const down = wanted.filter((link) => endsOf(link).some(isDown) || this.#isDoubtful(link.device));
    const failures = each(down, (link) => {
      if (!this.#known.has(link.device)) return; // it could not be made, and that was reported
      if (endsOf(link).some((device) => unguarded.has(`device ${device}`))) return; // reported too
      const isWhole = !endsOf(link).some(isDown) && !this.#doubted.has(link.device);
      if (isWhole && !(link.kind === "pod" && isBare(link))) return this.#settle(link.device);
      activateLink(link);
      this.#fresh.delete(link.device);
      this.#written++;
      this.#known.set(link.device, findLink(link.device) ?? (this.#known.get(link.device) as DeviceInfo));
      this.#settle(link.device);
    });
    if (this.#written > before) this.#refresh();
    return failures;
  }

  /** Of a pod: it may have lost its addresses and routes. One whose end is down is left alone: that is the pod's will. */
  #isDoubtful(device: string): boolean {
    if (!POD.test(device)) return false;
    const known = this.#known.get(device);
    return (
      this.#doubted.has(device) || (known?.running === true && this.#carriers.get(device) !== known.carrierChanges)
    );
  }

  #settle(device: string): void {
    this.#doubted.delete(device);
    this.#carriers.set(device, this.#known.get(device)?.carrierChanges ?? 0);
  }

  /** Makes the node's routes of Weir's protocol number exactly the wanted ones. */
  ensureRoutes(wanted: readonly Route[], ofLinks: readonly Link[]): Failure[] {
    return this.#routes.ensure([...wanted, ...ofLinks.flatMap(pairRoutes)], (ifindex) => this.#nameOf(ifindex));
  }

  /** Nothing is known of pods' ends: the next pass looks at each. */
  forget(): void {
    this.#carriers.clear();
  }

  /** The next pass gives a pod's end all that it should have, though nothing tells that it lost any. */
  doubt(device: string): void {
    this.#doubted.add(device);
  }

  /** May the news be of something of Weir's? Then `isStale` tells. */
  concerns(news: NetworkNews): boolean {
    if (news.kind === "route") return this.#routes.concerns(news);
    if (news.kind === "link") return isOwnDevice(news.device.name) || this.#others.has(news.device.name);
    if (news.kind === "qdisc") return isOwnDevice(this.#nameOf(news.ifindex));
    return news.kind === "lost";
  }

  /** Are devices or routes other than the last pass left them? */
  isStale(): boolean {
    const isWatched = ({ name }: DeviceInfo) => isOwnDevice(name) || this.#others.has(name);
    const textOf = (found: readonly DeviceInfo[]) => found.filter(isWatched).map(stateOf).toSorted().join();
    const before = [...this.#known.values()];
    if (textOf(links(undefined, { counters: false })) !== textOf(before)) return true;
    if (before.some(({ name }) => this.#isDoubtful(name))) return true;
    return this.#routes.isStale((ifindex) => this.#nameOf(ifindex));
  }

  /** Removes Weir's devices that are not wanted. */
  prune(wanted: readonly Link[]): void {
    const keep = new Set(wanted.flatMap(endsOf));
    for (const name of [...this.#known.keys()]) {
      if (!isOwnDevice(name) || keep.has(name)) continue;
      if (removeLink(name)) this.#written++;
      this.#known.delete(name);
    }
  }

  #refresh(): void {
    const found = links(undefined, { counters: false });
    this.#known = new Map(found.map((info) => [info.name, info]));
    this.#names = new Map(found.map(({ ifindex, name }) => [ifindex, name]));
    for (const device of [...this.#carriers.keys(), ...this.#doubted]) {
      if (this.#known.has(device)) continue;
      this.#carriers.delete(device);
      this.#doubted.delete(device);
    }
  }

  #make(link: Link): void {
    if (this.#known.has(link.device)) removeLink(link.device);
    makeLink(link);
    this.#fresh.add(link.device);
    this.#written++;
  }

  #nameOf(ifindex: number): string {
    return this.#names.get(ifindex) ?? "";
  }
}

/** What of a device Weir sets, or acts on. */
const stateOf = ({ ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges }: DeviceInfo): string =>
  [ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges].join(" ");

/** The link's devices in this namespace. */
const endsOf = (link: Link): string[] => (link.kind === "pair" ? [link.device, link.other] : [link.device]);

/** The MAC that its first end must have; undefined: any. */
function macOf(link: Link): string | undefined {
  if (link.kind === "pod") return link.gatewayMac;
  return link.kind === "pair" && link.mac !== "" ? link.mac : undefined;
}

const isFitted = (link: Link): boolean => link.kind !== "pair" || link.mac !== "";

function pairRoutes(link: Link): WantedRoute[] {
  return link.kind === "pair" ? link.routes.map((route) => ({ ...route, device: link.device })) : [];
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
  else if (ownRoutes.some(({ cidr }) => parsePrefix(cidr).family === 6)) enableIpv6(device);
  silence(other);
  // a checksum that is left for a device to fill in would hide what happens to the packet before it
  if (!offloads) setOffloads(device, { segmentation: false, txChecksum: false });
  if (qdisc) changeTc(device, [{ op: "set", kind: qdisc, handle: handle(1), parent: TC_ROOT, ...FQ }]);
  for (const cidr of addresses) addAddress(device, cidr);
  for (const name of [other, device]) setLink(name, { up: true });
}

/** The node's stack has no business on this device: without addresses it sends no discovery or group reports. */
function silence(device: string): void {
  writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
}
