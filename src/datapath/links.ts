import type { Change, Link } from "../model/document.ts";
import { Backoff } from "./backoff.ts";
import { type Devices, isOwnDevice } from "./devices.ts";
import { outcomeOf } from "./fault.ts";
import { changeOf, endsOf, macOf } from "./link-work.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";

const POD = /^weir[0-9a-f]{11}$/;

type Step = "make" | "complete";

interface Wanted {
  owner: string;
  item: Link;
}

/** The network devices that Weir creates. Each link succeeds or fails by itself. */
export class Links {
  /** Number of devices created, changed or removed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #network: Network;
  readonly #devices: Devices;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  /** Links to check in this pass, by first device. */
  readonly #due = new Set<string>();
  readonly #gone = new Map<string, Link>();
  /** Links that failed, with the step that did. */
  readonly #failed = new Map<string, Step>();
  /** Devices of another link that must be removed before this one is created. */
  readonly #other = new Set<string>();
  /** Devices created here that are not up yet. */
  readonly #fresh = new Set<string>();
  /**
   * Devices whose pod end is complete, with their `carrierChanges` at that time: the pod end loses its routes when the
   * carrier changes.
   */
  readonly #carriers = new Map<string, number>();
  readonly #doubted = new Set<string>();
  /** First devices of links, by the second one. */
  readonly #firstEnds = new Map<string, string>();
  /** Removed links whose devices could not be removed. */
  #stuck = 0;
  #isNewFailure = false;
  /** Links whose settings this round has not looked at. */
  #unscrubbed: string[] = [];

  constructor(network: Network, devices: Devices, outcomes: Outcomes, now: () => number) {
    this.#network = network;
    this.#devices = devices;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
  }

  get waiting(): number {
    return this.#failed.size + this.#stuck;
  }

  /** The wanted link with this device. */
  get(device: string): Wanted | undefined {
    return this.#wanted.get(this.#firstEnds.get(device) ?? device);
  }

  /** How many are wanted. */
  get size(): number {
    return this.#wanted.size;
  }

  wanted(): Iterable<Wanted> {
    return this.#wanted.values();
  }

  take({ owner, item, gone }: Change<Link>): void {
    const { device } = item;
    const before = this.#wanted.get(device);
    for (const end of before ? endsOf(before.item) : []) this.#firstEnds.delete(end);
    if (gone) {
      this.#wanted.delete(device);
      this.#gone.set(device, item);
      this.#forget(device);
      return;
    }
    this.#wanted.set(device, { owner, item });
    for (const end of endsOf(item)) this.#firstEnds.set(end, device);
    this.#gone.delete(device);
    this.#due.add(device);
    if (!before) return;
    this.#doubted.add(device);
    if (isElsewhere(before.item, item)) this.#other.add(device);
  }

  /** Checks the links of devices that changed. */
  follow(devices: ReadonlySet<string>): void {
    for (const device of devices) {
      const first = this.#firstEnds.get(device);
      if (first !== undefined) this.#due.add(first);
    }
  }

  /** What the kernel lacks of these devices' links, by a fresh look: notifications may be about changes that are over. */
  lost(devices: Iterable<string>): { owner: string; message: string }[] {
    const firsts = new Set([...devices].flatMap((device) => this.#firstEnds.get(device) ?? []));
    return [...firsts].flatMap((first) => {
      const { owner, item } = this.#wanted.get(first) as Wanted;
      if (this.#failed.has(first) || this.#fresh.has(first)) return [];
      const changes = endsOf(item).map((end) => changeOf(item, end, this.#network.device(end)));
      const message = changes.find((change) => change !== undefined);
      return message === undefined ? [] : [{ owner, message }];
    });
  }

  /** Has the next pass restore a device completely, although no notification says that anything was lost. */
  doubt(device: string): void {
    const first = this.#firstEnds.get(device);
    if (first === undefined) return;
    this.#doubted.add(first);
    this.#due.add(first);
  }

  /** Looks at the settings of the next `count` links; the next pass restores those that differ. False after the last. */
  scrub(count: number): boolean {
    if (this.#unscrubbed.length === 0) this.#unscrubbed = [...this.#wanted.keys()];
    for (const device of this.#unscrubbed.splice(0, count)) {
      const wanted = this.#wanted.get(device);
      if (wanted && !this.#failed.has(device) && !this.#network.isConfigured(wanted.item)) this.doubt(device);
    }
    return this.#unscrubbed.length > 0;
  }

  /** Has all links checked in the next pass, including the pods' ends. */
  doubtAll(): void {
    this.#carriers.clear();
    for (const device of this.#wanted.keys()) this.#due.add(device);
  }

  tryAgain(): void {
    for (const device of this.#failed.keys()) this.#due.add(device);
  }

  /**
   * Creates missing devices. They stay down until the panel's programs are attached. Fixes MAC and MTU of existing
   * ones.
   */
  ensure(): void {
    for (const { owner, item } of this.#each(this.#due)) {
      this.#attempt({ owner, item }, "make", () => {
        for (const end of endsOf(item)) this.#recall(end);
        if (this.#other.has(item.device) || !this.#serves(item)) this.#make(item);
        const now = this.#devices.info(item.device);
        if (!now || this.#fits(item)) return;
        this.#network.fit(item, now);
        this.#devices.reread(endsOf(item));
        this.writes++;
      });
    }
  }

  /**
   * Brings up devices that are down, and restores a pod end that lost its routes with its carrier.
   * @param isGuarded whether the device has its program: without it, received packets would bypass the panel
   */
  activate(isGuarded: (device: string) => boolean): void {
    for (const { owner, item } of this.#each(this.#due)) {
      const { device } = item;
      if (!endsOf(item).every(isGuarded)) continue; // Attachments reports the failure; the link stays due
      this.#attempt({ owner, item }, "complete", () => {
        if (this.#isDoubtful(item)) this.#complete(item);
        this.#due.delete(device);
      });
    }
    this.#schedule();
  }

  /** Removes the devices of removed links. @param whole also devices of Weir's that belong to no link */
  prune(whole: boolean): void {
    const stray = whole ? this.#devices.own().filter((name) => !this.#firstEnds.has(name)) : [];
    this.#stuck = 0;
    for (const device of new Set([...this.#gone.keys(), ...stray])) {
      try {
        this.#remove(device);
        this.#outcomes.set(`device ${device}`, undefined);
      } catch (error) {
        this.#stuck++;
        this.#outcomes.set(`device ${device}`, outcomeOf(this.#outcomes.node, error));
      }
    }
    if (this.#stuck > 0) this.#schedule();
  }

  #remove(device: string): void {
    if (isOwnDevice(device) && this.#network.remove(device)) this.writes++;
    const link = this.#gone.get(device);
    this.#devices.reread(link ? endsOf(link) : [device]);
    this.#gone.delete(device);
  }

  *#each(devices: ReadonlySet<string>): Generator<Wanted> {
    for (const device of [...devices]) {
      const wanted = this.#wanted.get(device);
      if (wanted) yield wanted;
      else this.#due.delete(device);
    }
  }

  #attempt({ owner, item: { device } }: Wanted, step: Step, work: () => void): void {
    try {
      work();
      const failed = this.#failed.get(device);
      if (failed === undefined || (failed === "complete" && step === "make")) return;
      this.#failed.delete(device);
      this.#outcomes.set(`link ${device}`, undefined);
    } catch (error) {
      if (!this.#failed.has(device)) this.#isNewFailure = true;
      this.#failed.set(device, step);
      this.#due.delete(device);
      this.#outcomes.set(`link ${device}`, outcomeOf(owner, error));
    }
  }

  #schedule(): void {
    if (this.waiting === 0) this.retry.clear();
    else if (this.#isNewFailure || this.retry.isDue) this.retry.fail(this.#isNewFailure);
    this.#isNewFailure = false;
  }

  #forget(device: string): void {
    for (const set of [this.#due, this.#fresh, this.#doubted, this.#other]) set.delete(device);
    this.#failed.delete(device);
    this.#carriers.delete(device);
    this.#outcomes.set(`link ${device}`, undefined);
  }

  /**
   * Whether the existing device can serve the link. A device of another kind cannot; nor can a VXLAN device with
   * another port or VNI, which cannot be changed.
   */
  #serves(link: Link): boolean {
    const known = this.#devices.info(link.device);
    if (known?.kind !== (link.kind === "vxlan" ? "vxlan" : "veth")) return false;
    return link.kind !== "vxlan" || (known.udpPort === link.port && known.vni === link.vni);
  }

  /** Gives a device its name back: under another one it would be in the way of its successor. */
  #recall(device: string): void {
    const before = this.#devices.info(device) ? undefined : this.#devices.gone(device);
    if (!before || !this.#network.recall(before)) return;
    this.#devices.reread([device]);
    this.writes++;
  }

  #make(link: Link): void {
    if (this.#devices.info(link.device)) this.#network.remove(link.device);
    try {
      this.#network.make(link);
      this.#other.delete(link.device);
      this.#fresh.add(link.device);
      this.writes++;
    } finally {
      this.#devices.reread(endsOf(link));
    }
  }

  #fits(link: Link): boolean {
    const mac = macOf(link);
    const isMac = mac === undefined || this.#devices.info(link.device)?.mac === mac;
    if (link.kind === "pair" && link.mac === "") return isMac; // Shapers sets its MTU
    return isMac && endsOf(link).every((end) => this.#devices.info(end)?.mtu === link.mtu);
  }

  #isDown(link: Link): boolean {
    return this.#fresh.has(link.device) || endsOf(link).some((end) => this.#devices.info(end)?.up === false);
  }

  /** Whether a pod end must be checked. If the pod has set its end down, it is left as it is. */
  #isDoubtful(link: Link): boolean {
    if (this.#doubted.has(link.device) || this.#isDown(link)) return true;
    if (!POD.test(link.device)) return false;
    const known = this.#devices.info(link.device);
    return known?.running === true && this.#carriers.get(link.device) !== known.carrierChanges;
  }

  #complete(link: Link): void {
    const { device } = link;
    const isWhole = !this.#isDown(link) && !this.#doubted.has(device);
    if (!isWhole || (link.kind === "pod" && this.#network.isBare(link))) {
      this.#network.activate(link);
      this.writes++;
      this.#devices.reread(endsOf(link));
    }
    this.#fresh.delete(device);
    this.#doubted.delete(device);
    this.#carriers.set(device, this.#devices.info(device)?.carrierChanges ?? 0);
  }
}

/** Whether the pod end is in another namespace or has another name. */
function isElsewhere(before: Link, after: Link): boolean {
  if (before.kind !== "pod" || after.kind !== "pod") return before.kind !== after.kind;
  return before.netns !== after.netns || before.ifname !== after.ifname;
}
