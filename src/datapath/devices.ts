import type { DeviceInfo, NetworkNews } from "../kernel/index.ts";
import type { Network } from "./network.ts";

/** Names of devices that Weir creates. It never changes any other. */
const OWN = /^(weir_(recirc|split|shape|delay)[01]|weir_(host|panel|vxlan)|weir[0-9a-f]{11})$/;

/** Maximum MTU of a veth whose peer has no XDP program. */
const VETH_MAX_MTU = 65535;

export const isOwnDevice = (name: string): boolean => OWN.test(name);

/**
 * Names of changed devices. `replaced`: those that were created, replaced or removed, or must be sent to in another
 * way.
 */
export interface Changed {
  all: Set<string>;
  replaced: Set<string>;
}

/**
 * What is known about devices in this namespace: Weir's own, and those that were asked for. Read once, then updated by
 * Weir's own changes and by the kernel's notifications.
 */
export class Devices {
  readonly #network: Network;
  readonly #known = new Map<string, DeviceInfo | undefined>();
  readonly #names = new Map<number, string>();
  /** Devices that are gone, as they were. */
  readonly #gone = new Map<string, DeviceInfo>();
  /** Devices that must be read again. */
  readonly #doubtful = new Set<string>();
  #changed: Changed = { all: new Set(), replaced: new Set() };
  #isLost = true;

  constructor(network: Network) {
    this.#network = network;
  }

  /** Information about a device, which is followed from now on; undefined while it does not exist. */
  info(name: string): DeviceInfo | undefined {
    if (this.#isLost) this.refresh();
    if (!this.#known.has(name)) this.#learn(name, this.#network.device(name));
    return this.#known.get(name);
  }

  /** Index of a device; undefined while it does not exist. */
  ifindex(name: string): number | undefined {
    return this.info(name)?.ifindex;
  }

  /** A device as it was before it went: removed, or renamed. */
  gone(name: string): DeviceInfo | undefined {
    return this.#gone.get(name);
  }

  /** Devices that the kernel has notified of, and that no pass has read since. */
  get doubtful(): Iterable<string> {
    return this.#doubtful;
  }

  /** Name of a known device; empty if unknown. */
  nameOf(ifindex: number): string {
    return this.#names.get(ifindex) ?? "";
  }

  /**
   * Whether a native XDP program processes what this veth's peer receives. The kernel then limits the size of packets
   * sent to it.
   */
  isSeenByXdp(name: string): boolean {
    const known = this.info(name);
    return known?.kind === "veth" && known.maxMtu !== VETH_MAX_MTU;
  }

  /** Weir's own devices that exist. */
  own(): string[] {
    return [...this.#known].filter(([name, info]) => info && isOwnDevice(name)).map(([name]) => name);
  }

  /** Reads the devices marked as doubtful. */
  refresh(): void {
    if (this.#isLost) {
      this.#isLost = false;
      this.#doubtful.clear();
      this.#readAll();
    }
    for (const name of this.#doubtful) this.#learn(name, this.#network.device(name));
    this.#doubtful.clear();
  }

  /** Devices that changed since the last call. */
  takeChanged(): Changed {
    const changed = this.#changed;
    this.#changed = { all: new Set(), replaced: new Set() };
    return changed;
  }

  /** Reads devices that Weir just changed. */
  reread(names: readonly string[]): void {
    for (const name of names) this.#learn(name, this.#network.device(name));
  }

  /** Has all devices read again at the next refresh. */
  doubtAll(): void {
    this.#isLost = true;
  }

  /** Takes in a notification. Returns true if it is about a known device that has changed. */
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

  /** Forgets devices that neither exist nor are named by any item. */
  prune(isNamed: (device: string) => boolean): void {
    for (const [name, info] of this.#known) {
      if (info || isNamed(name)) continue;
      this.#known.delete(name);
      this.#gone.delete(name);
    }
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
    if (info) this.#gone.delete(name);
    else if (before) this.#gone.set(name, before);
    if ((before && stateOf(before)) !== (info && stateOf(info))) this.#changed.all.add(name);
    if (before?.ifindex !== info?.ifindex || before?.maxMtu !== info?.maxMtu) this.#changed.replaced.add(name);
  }
}

/** The state of a device that Weir sets or depends on, as text to compare. */
const stateOf = ({ ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges }: DeviceInfo): string =>
  [ifindex, name, up, running, mtu, maxMtu, mac, carrierChanges].join(" ");
