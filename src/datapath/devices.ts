import type { DeviceInfo, NetworkNews } from "../kernel/index.ts";
import type { Network } from "./network.ts";

/** Devices that Weir makes; others are never touched. */
const OWN = /^(weir_(recirc|split|shape|delay)[01]|weir_(host|panel|vxlan)|weir[0-9a-f]{11})$/;

/** Of a veth whose other end has no XDP program. */
const VETH_MAX_MTU = 65535;

export const isOwnDevice = (name: string): boolean => OWN.test(name);

/** Devices that changed; those of them that are other devices now, or do not exist, or are to be sent to in another way. */
export interface Changed {
  all: Set<string>;
  others: Set<string>;
}

/**
 * What is known of devices of this namespace: of Weir's own and of those that somebody asked for. Read once, and kept
 * true by what is done here and by what the kernel tells.
 */
export class Devices {
  readonly #network: Network;
  readonly #known = new Map<string, DeviceInfo | undefined>();
  readonly #names = new Map<number, string>();
  /** To be read again. */
  readonly #doubtful = new Set<string>();
  #changed: Changed = { all: new Set(), others: new Set() };
  #isLost = true;

  constructor(network: Network) {
    this.#network = network;
  }

  /** What is known of a device, and will be told of from now on; undefined while it does not exist. */
  info(name: string): DeviceInfo | undefined {
    if (this.#isLost) this.refresh();
    if (!this.#known.has(name)) this.#learn(name, this.#network.device(name));
    return this.#known.get(name);
  }

  /** Index of a device; undefined while it does not exist. */
  ifindex(name: string): number | undefined {
    return this.info(name)?.ifindex;
  }

  /** Name of a device that is known; empty if it is not. */
  nameOf(ifindex: number): string {
    return this.#names.get(ifindex) ?? "";
  }

  /** Does a native XDP program look at what this veth's other end receives? It makes the kernel bound what is sent there. */
  isSeenByXdp(name: string): boolean {
    const known = this.info(name);
    return known?.kind === "veth" && known.maxMtu !== VETH_MAX_MTU;
  }

  /** Weir's own devices that exist. */
  own(): string[] {
    return [...this.#known].filter(([name, info]) => info && isOwnDevice(name)).map(([name]) => name);
  }

  /** Reads what is in doubt. */
  refresh(): void {
    if (this.#isLost) {
      this.#isLost = false;
      this.#doubtful.clear();
      this.#readAll();
    }
    for (const name of this.#doubtful) this.#learn(name, this.#network.device(name));
    this.#doubtful.clear();
  }

  /** Devices that are not as they were when they were last taken. */
  takeChanged(): Changed {
    const changed = this.#changed;
    this.#changed = { all: new Set(), others: new Set() };
    return changed;
  }

  /** Reads a device that was just changed. */
  reread(names: readonly string[]): void {
    for (const name of names) this.#learn(name, this.#network.device(name));
  }

  /** Reads all anew at the next refresh. */
  doubtAll(): void {
    this.#isLost = true;
  }

  /** True if the news are of a device that is known, and not as it is known. */
  noticed({ device, gone }: Extract<NetworkNews, { kind: "link" }>): boolean {
    const before = this.#names.get(device.ifindex);
    const isRenamed = before !== undefined && before !== device.name;
    if (isRenamed) this.#doubtful.add(before);
    const isKnown = this.#known.has(device.name) || isOwnDevice(device.name);
    const known = this.#known.get(device.name);
    const isSame = gone ? known?.ifindex !== device.ifindex : known !== undefined && stateOf(known) === stateOf(device);
    if (isKnown && !isSame) this.#doubtful.add(device.name);
    return isRenamed || (isKnown && !isSame);
  }

  /** Forgets devices that do not exist and that nobody asks for. */
  prune(isNamed: (device: string) => boolean): void {
    for (const [name, info] of this.#known) if (!info && !isNamed(name)) this.#known.delete(name);
  }

  #readAll(): void {
    const found = new Map(this.#network.devices().map((info) => [info.name, info]));
    for (const name of this.#known.keys()) if (!found.has(name)) this.#learn(name, undefined);
    for (const [name, info] of found) if (this.#known.has(name) || isOwnDevice(name)) this.#learn(name, info);
  }

  #learn(name: string, info: DeviceInfo | undefined): void {
    const before = this.#known.get(name);
    this.#known.set(name, info);
    if (before && this.#names.get(before.ifindex) === name) this.#names.delete(before.ifindex);
    if (info) this.#names.set(info.ifindex, name);
    if ((before && stateOf(before)) !== (info && stateOf(info))) this.#changed.all.add(name);
    if (before?.ifindex !== info?.ifindex || before?.maxMtu !== info?.maxMtu) this.#changed.others.add(name);
  }
}

/** What of a device Weir sets, or acts on. */
const stateOf = ({ ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges }: DeviceInfo): string =>
  [ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges].join(" ");
