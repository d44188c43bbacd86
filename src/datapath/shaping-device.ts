import { handle, TC_ROOT, type TcChange } from "../kernel/index.ts";
import { SIZE_TABLE } from "../model/shape.ts";
import type { Devices } from "./devices.ts";
import type { Network } from "./network.ts";
import { type Classes, MAJOR, readClasses } from "./shaper-classes.ts";

const ETHERNET = 14;

/** The device with the HTB classes, its root qdisc and its MTU. */
export class ShapingDevice {
  /** Number of kernel objects created, changed or removed so far, classes not counted. */
  writes = 0;
  readonly #pair: { device: string; other: string };
  readonly #network: Network;
  readonly #devices: Devices;
  #mtu = 0;

  /** @param pair the device with the classes, and its far end */
  constructor(pair: { device: string; other: string }, network: Network, devices: Devices) {
    this.#pair = pair;
    this.#network = network;
    this.#devices = devices;
  }

  get name(): string {
    return this.#pair.device;
  }

  get ifindex(): number | undefined {
    return this.#devices.ifindex(this.#pair.device);
  }

  change(changes: TcChange[]): void {
    this.#network.changeTc(this.#pair.device, changes);
  }

  /** Classes by shaper id, as the kernel has them. */
  classes(): Map<number, Classes> {
    return readClasses(this.#network.classes(this.#pair.device));
  }

  /** Queued bytes of classes, by minor number. */
  backlogs(minors: readonly number[]): Map<number, number> {
    const handles = minors.map((one) => handle(MAJOR, one));
    const found = this.#network.classBacklogs(this.#pair.device, handles);
    return new Map([...found].map(([own, bytes]) => [own & 0xffff, bytes]));
  }

  /** The device may be another one. */
  forget(): void {
    this.#mtu = 0;
  }

  /**
   * The kernel logs a warning for each change of a bucket smaller than its device's MTU, so the MTU is kept at the
   * largest. @param mtu of all limits, bytes
   */
  fit(mtu: number): void {
    if (mtu === this.#mtu) return;
    const { device, other } = this.#pair;
    if (this.#devices.info(device)?.mtu !== mtu) {
      for (const name of [other, device]) this.#network.setMtu(name, mtu);
      this.#devices.reread([other, device]);
      this.writes++;
    }
    this.#mtu = mtu;
  }

  /** Makes the root qdisc; one of an older version goes with all its classes. */
  setRoot(): void {
    const { device } = this.#pair;
    const root = this.#network.qdiscs(device).find(({ parent }) => parent === TC_ROOT);
    if (root?.kind === "htb" && root.handle === handle(MAJOR)) return;
    if (root?.kind === "htb") this.change([{ op: "remove", kind: "qdisc", parent: TC_ROOT }]);
    const sizes = { header: ETHERNET, table: SIZE_TABLE };
    this.change([{ op: "set", kind: "htb", handle: handle(MAJOR), parent: TC_ROOT, sizes }]);
    this.writes++;
  }
}
