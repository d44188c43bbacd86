import {
  type DeviceInfo,
  type HtbRate,
  handle,
  KernelError,
  type QdiscInfo,
  type RouteInfo,
  TC_ROOT,
  type TcChange,
  WEIR_ROUTE_PROTOCOL,
} from "../../kernel/index.ts";
import type { Link, PodLink, Route } from "../../model/document.ts";
import { endsOf, macOf } from "../link-work.ts";
import type { Network } from "../network.ts";

const STATS = { bytes: 0n, packets: 0n, drops: 0, overlimits: 0, backlog: 0, queued: 0 };
const NONE = { packets: 0n, bytes: 0n, drops: 0n };

/** The in-memory double of a network namespace. */
export class MemoryNetwork implements Network {
  readonly byName = new Map<string, DeviceInfo>();
  readonly byCidr = new Map<string, RouteInfo>();
  /** CIDRs of foreign routes. */
  readonly foreign = new Set<string>();
  readonly segmentsOf = new Map<string, number>();
  /** Devices whose flows were steered. */
  readonly steered: string[] = [];
  /** The number of dumps of all devices. */
  dumps = 0;
  /** Queued bytes of each class. */
  backlog = 0;
  #classes = new Map<number, HtbRate>();
  #root: QdiscInfo | undefined;
  #index = 1;
  readonly #refuses: (what: string) => boolean;

  constructor(refuses: (what: string) => boolean) {
    this.#refuses = refuses;
  }

  devices(): DeviceInfo[] {
    this.dumps++;
    return [...this.byName.values()];
  }

  device(name: string): DeviceInfo | undefined {
    return this.byName.get(name);
  }

  isConfigured(): boolean {
    return true;
  }

  /** Adds a foreign device. */
  add(name: string, kind = "veth"): DeviceInfo {
    const device: DeviceInfo = {
      ...{ ifindex: this.#index++, name, kind, mac: "02:00:00:00:00:01", mtu: 1500, maxMtu: 65535 },
      ...{ up: false, running: false, carrierChanges: 0, peerIfindex: undefined, peerNetnsId: undefined },
      ...{ master: undefined, udpPort: undefined, vni: undefined, gsoMaxSegs: 65535, gsoMaxSize: 65536 },
      ...{ rx: NONE, tx: NONE },
    };
    this.byName.set(name, device);
    return device;
  }

  make(link: Link): void {
    this.#check(`make ${link.device}`);
    for (const end of endsOf(link)) {
      const made = this.add(end, link.kind === "vxlan" ? "vxlan" : "veth");
      made.mtu = link.mtu;
      if (link.kind === "vxlan") Object.assign(made, { udpPort: link.port, vni: link.vni });
    }
    const first = this.#get(link.device);
    first.mac = macOf(link) ?? first.mac;
    if (link.kind === "pod") this.segmentsOf.set(link.device, 65535);
  }

  fit(link: Link): void {
    this.#check(`fit ${link.device}`);
    for (const end of endsOf(link)) this.#get(end).mtu = link.mtu;
    this.#get(link.device).mac = macOf(link);
  }

  activate(link: Link): void {
    this.#check(`activate ${link.device}`);
    for (const end of endsOf(link)) Object.assign(this.#get(end), { up: true, running: true });
  }

  isBare(): boolean {
    return false;
  }

  /** Nobody renames a device here. */
  recall(): boolean {
    return false;
  }

  remove(device: string): boolean {
    this.#check(`remove ${device}`);
    const pair = /^(weir_[a-z]+)([01])$/.exec(device);
    if (pair) this.lose(`${pair[1]}${1 - Number(pair[2])}`);
    if (device === "weir_shape0") {
      this.#root = undefined;
      this.#classes.clear();
    }
    return this.lose(device);
  }

  /** Removes a device and its routes. */
  lose(name: string): boolean {
    const ifindex = this.byName.get(name)?.ifindex;
    for (const [cidr, route] of this.byCidr) if (route.ifindex === ifindex) this.byCidr.delete(cidr);
    return this.byName.delete(name);
  }

  setMtu(device: string, mtu: number): void {
    this.#get(device).mtu = mtu;
  }

  steer(device: string): string | undefined {
    this.steered.push(device);
    return undefined;
  }

  segments({ device }: PodLink): number | undefined {
    return this.segmentsOf.get(device);
  }

  setSegments({ device }: PodLink, segments: number): void {
    this.#check(`segments ${device}`);
    this.segmentsOf.set(device, segments);
  }

  routes(): RouteInfo[] {
    return [...this.byCidr.values()];
  }

  addRoute({ cidr, device, via, source }: Route): boolean {
    this.#check(`route ${cidr}`);
    if (this.foreign.has(cidr) || this.byCidr.has(cidr)) return false;
    const { ifindex } = this.#get(device);
    const more = { metric: undefined, table: 254, protocol: WEIR_ROUTE_PROTOCOL };
    this.byCidr.set(cidr, { cidr, ifindex, via, source, ...more });
    return true;
  }

  removeRoute({ cidr }: RouteInfo): void {
    this.#check(`unroute ${cidr}`);
    this.byCidr.delete(cidr);
  }

  qdiscs(): QdiscInfo[] {
    return this.#root ? [this.#root] : [];
  }

  classes(): HtbRate[] {
    return [...this.#classes.values()];
  }

  classBacklogs(_device: string, handles: readonly number[]): Map<number, number> {
    return new Map(handles.flatMap((own) => (this.#classes.has(own) ? [[own, this.backlog]] : [])));
  }

  changeTc(device: string, changes: TcChange[]): void {
    const { ifindex } = this.#get(device);
    for (const change of changes) {
      if (change.kind === "htb") {
        const parent = TC_ROOT;
        this.#root = { ifindex, kind: "htb", handle: handle(2), parent, stats: STATS };
      } else if (change.kind === "htb-class") {
        this.#check(`class ${change.handle}`);
        const { rate, quantum } = change.htb;
        const kept = ((BigInt(Math.round(Number(rate))) + 4n) / 8n) * 8n;
        const queue = this.#classes.get(change.handle)?.queue ?? 0;
        this.#classes.set(change.handle, { handle: change.handle, rate: kept, quantum, queue });
      } else if (change.kind === "bfifo" || change.kind === "tbf") {
        const known = this.#classes.get(change.parent);
        if (known) this.#classes.set(change.parent, { ...known, queue: change.handle });
      } else if (change.op === "remove" && change.kind === "class") this.#classes.delete(change.handle);
    }
  }

  #get(name: string): DeviceInfo {
    const device = this.byName.get(name);
    if (device) return device;
    throw new KernelError(`find device ${name}`, { code: "device-missing", errno: "ENODEV", hint: "no such device" });
  }

  #check(what: string): void {
    if (this.#refuses(what)) throw new KernelError(what, { code: "refused", errno: "EPERM" });
  }
}
