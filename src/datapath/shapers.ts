import { handle, TC_ROOT } from "../kernel/index.ts";
import type { Change, Shaper } from "../model/document.ts";
import { type Shape, SIZE_TABLE, shape } from "../model/shape.ts";
import { Backoff } from "./backoff.ts";
import type { Devices } from "./devices.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { Name, Names } from "./names.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";
import {
  backlogs,
  type Classes,
  DRAIN,
  kernelRate,
  leafChanges,
  leavesOf,
  MAJOR,
  minorsOf,
  readClasses,
  removalOf,
  shapeOf,
  sumOf,
  topChanges,
} from "./shaper-classes.ts";

/**
 * Packets in a set of leaves that would take longer than this to leave at the limit's new rate are dropped with the
 * leaves, seconds.
 */
const DRAIN_TIME = 0.15;
/**
 * When a rate is lowered, queued packets may leave at the old rate first: if they would take longer than `wait` at the
 * new one, for at most `time`, checked every `look`; seconds.
 */
const CUT = { wait: 0.1, look: 0.01, time: 0.03 } as const;
const ETHERNET = 14;
/** Interval at which removed limits are checked for queued packets, ms. */
const DRAIN_LOOK = 1000;

interface Wanted {
  owner: string;
  item: Shaper;
}

/** A limit whose rate is to be lowered, with its new shaper. */
interface Cut {
  instance: string;
  id: number;
  target: Shape;
}

/** The HTB classes on the shaping device: a block of minor numbers for each limit. */
export class Shapers {
  /** Number of kernel objects created, changed or removed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #pair: { device: string; other: string };
  readonly #network: Network;
  readonly #devices: Devices;
  readonly #names: Names;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  /** Ids of shapers that are wanted or not removed yet, by instance. */
  readonly #ids = new Map<string, Name>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** The number of shapers with each MTU. */
  readonly #mtus = new Map<number, number>();
  /** The device that `#held` describes, and its MTU. */
  #ifindex: number | undefined;
  #mtu = 0;
  /** The classes as last set, by shaper id; read from the kernel at first. */
  #held: Map<number, Classes> | undefined;
  /** Shapers whose classes may be incomplete. */
  readonly #unsure = new Set<number>();
  /** Limits whose rate is to be lowered. */
  readonly #cuts: Cut[] = [];
  readonly #drained: Backoff;

  /** @param pair the device with the classes, and its far end */
  constructor(
    pair: { device: string; other: string },
    network: Network,
    devices: Devices,
    names: Names,
    outcomes: Outcomes,
    now: () => number,
  ) {
    this.#pair = pair;
    this.#network = network;
    this.#devices = devices;
    this.#names = names;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
    this.#drained = new Backoff(now, { least: DRAIN_LOOK, most: DRAIN_LOOK });
  }

  get waiting(): number {
    return this.#failed.size;
  }

  /** The number of wanted shapers. */
  get size(): number {
    return this.#wanted.size;
  }

  has(instance: string): boolean {
    return this.#wanted.has(instance);
  }

  /** ms until removed limits are checked again; undefined: all have drained. */
  get drainsIn(): number | undefined {
    return this.#drained.left;
  }

  take({ owner, item, gone }: Change<Shaper>): void {
    const { instance } = item;
    const before = this.#wanted.get(instance);
    if (before) this.#count(before.item.mtu, -1);
    if (gone) this.#wanted.delete(instance);
    else {
      this.#wanted.set(instance, { owner, item });
      this.#count(item.mtu, 1);
    }
    this.#due.add(instance);
  }

  #count(mtu: number, more: number): void {
    const count = (this.#mtus.get(mtu) ?? 0) + more;
    if (count > 0) this.#mtus.set(mtu, count);
    else this.#mtus.delete(mtu);
  }

  /** Has all classes read from the kernel again. */
  doubt(): void {
    this.#held = undefined;
    this.#ifindex = undefined;
    for (const instance of [...this.#wanted.keys(), ...this.#ids.keys()]) this.#due.add(instance);
  }

  /** Handles a shaping device that was created again: it has no classes. */
  follow(devices: ReadonlySet<string>): void {
    if (!devices.has(this.#pair.device)) return;
    if (this.#devices.ifindex(this.#pair.device) !== this.#ifindex) this.doubt();
    this.#mtu = 0;
  }

  tryAgain(): void {
    for (const instance of this.#failed) this.#due.add(instance);
  }

  /**
   * Creates and changes classes without touching other limits' classes or any queue. Does not lower rates yet. Raises
   * the rates of removed limits, so that queued packets leave before later packets of their flow bypass the queue.
   * @param whole all wanted limits are known: other classes belong to removed limits
   */
  raise(whole: boolean): void {
    if (this.#due.size === 0 && !whole) return;
    this.#cuts.length = 0;
    let isNew = false;
    for (const instance of this.#due) {
      this.#due.delete(instance);
      isNew = this.#attempt(instance, () => this.#ensure(instance)) || isNew;
    }
    if (whole) this.#drainStrangers();
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  /** Returns true if it failed and had not before. */
  #attempt(instance: string, work: () => void): boolean {
    const item = `shaper ${instance}`;
    try {
      work();
      this.#failed.delete(instance);
      this.#outcomes.set(item, undefined);
      return false;
    } catch (error) {
      const isNew = !this.#failed.has(instance);
      const id = this.#ids.get(instance)?.id;
      if (id !== undefined) this.#unsure.add(id);
      this.#failed.add(instance);
      this.#outcomes.set(item, outcomeOf(this.#wanted.get(instance)?.owner ?? this.#outcomes.node, error));
      return isNew;
    }
  }

  #ensure(instance: string): void {
    const wanted = this.#wanted.get(instance);
    if (!wanted) {
      this.#drain(instance);
      return;
    }
    this.#fit();
    const name = this.#ids.get(instance) ?? this.#names.hold("shaper", instance);
    this.#ids.set(instance, name);
    this.#ensureOne({ instance, id: name.id, target: shapeOf(wanted.item) }, this.#read());
  }

  #ensureOne({ instance, id, target }: Cut, held: Map<number, Classes>): void {
    const now = held.get(id);
    const rate = kernelRate(target.parent.rate);
    const made = now?.leaves.get(target.set.place) ?? 0;
    // Leaves made for smaller packets would refuse larger ones, so all are changed, which drops nothing. They never
    // shrink: a queued packet must not be larger than its leaf's bucket.
    const fits = (now?.quanta.get(target.set.place) ?? 0) >= target.leaf.quantum;
    const isCut = now !== undefined && now.rate > rate;
    if (isCut) this.#cuts.push({ instance, id, target });
    if ((isCut || now?.rate === rate) && made >= target.leaves && fits) return;
    held.delete(id);
    const count = Math.max(made, target.leaves);
    this.#network.changeTc(this.#pair.device, [
      ...(isCut ? [] : topChanges(id, target)),
      ...leafChanges(id, { ...target, leaves: count }, fits ? made : 0),
    ]);
    const leaves = new Map(now?.leaves).set(target.set.place, count);
    const quanta = fits ? now?.quanta : new Map(now?.quanta).set(target.set.place, target.leaf.quantum);
    held.set(id, { rate: isCut ? now.rate : rate, leaves, quanta: quanta ?? new Map(), draining: false });
    this.writes++;
  }

  /**
   * Lowers rates. The limits' map rows already have the new rates, so what is queued was admitted at the old ones, and
   * may leave at the old rate, in order. What does not leave in time leaves at the new rate, or is dropped with leaves
   * that are removed.
   */
  lower(): void {
    const cuts = this.#cuts.splice(0);
    if (cuts.length === 0) return;
    const backlog = this.#waitFor(cuts);
    let isNew = false;
    for (const cut of cuts) {
      if (this.#failed.has(cut.instance)) continue;
      isNew = this.#attempt(cut.instance, () => this.#lowerOne(cut, backlog)) || isNew;
    }
    if (isNew) this.retry.fail(true);
  }

  /**
   * Waits until little is queued for these limits, or until the queues stop shrinking. Returns queued bytes by class.
   */
  #waitFor(cuts: readonly Cut[]): ReadonlyMap<number, number> {
    const end = performance.now() + CUT.wait * 1000;
    let before: ReadonlyMap<number, number> | undefined;
    for (;;) {
      const backlog = backlogs(this.#network.classes(this.#pair.device));
      const waits = ({ id, target }: Cut): boolean => {
        const bytes = this.#queued(id, backlog);
        return 8 * bytes > CUT.time * target.parent.rate && (!before || bytes < this.#queued(id, before));
      };
      if (performance.now() >= end || !cuts.some(waits)) return backlog;
      before = backlog;
      pause(CUT.look);
    }
  }

  #lowerOne({ id, target }: Cut, backlog: ReadonlyMap<number, number>): void {
    const now = this.#held?.get(id);
    if (!now) return; // creating its leaves failed and was reported
    this.#held?.delete(id);
    const late = [...now.leaves].filter(([place, count]) => {
      const bytes = sumOf(leavesOf(id, place, count), backlog);
      return place !== target.set.place && 8 * bytes > DRAIN_TIME * target.parent.rate;
    });
    const removed = late.flatMap(([place, count]) => leavesOf(id, place, count)).map(removalOf);
    this.#network.changeTc(this.#pair.device, [...topChanges(id, target), ...removed]);
    const leaves = new Map(now.leaves);
    for (const [place] of late) leaves.delete(place);
    this.#held?.set(id, { ...now, leaves, rate: kernelRate(target.parent.rate), draining: false });
    this.writes++;
  }

  /** Queued bytes of a limit, in all classes below its parent. */
  #queued(id: number, backlog: ReadonlyMap<number, number>): number {
    const held = this.#held?.get(id);
    return held ? sumOf(minorsOf(id, held).slice(1), backlog) : 0;
  }

  /** Lets the queued packets of a removed limit leave at once. */
  #drain(instance: string): void {
    const name = this.#ids.get(instance);
    if (!name) return;
    if (this.#unsure.has(name.id)) {
      this.#held = undefined;
      this.#unsure.clear();
    }
    const held = this.#held ?? readClasses(this.#network.classes(this.#pair.device));
    if (held.size > 0) this.#held = held;
    const state = held.get(name.id);
    if (state) this.#lift(name.id, state);
    else this.#forget(instance);
  }

  #lift(id: number, state: Classes): void {
    if (!state.draining) this.#network.changeTc(this.#pair.device, topChanges(id, shape(DRAIN)));
    state.draining = true;
    if (this.#drained.left === undefined) this.#drained.fail(true);
  }

  /**
   * Takes over classes of limits that were removed while no agent ran. Their names keep their ids until they have
   * drained.
   */
  #drainStrangers(): void {
    const held = this.#held ?? readClasses(this.#network.classes(this.#pair.device));
    if (held.size === 0) return;
    this.#held = held;
    const known = new Set([...this.#ids.values()].map(({ id }) => id));
    const names = this.#names.all("shaper");
    for (const [id, state] of held) {
      if (known.has(id)) continue;
      const instance = names.get(id);
      if (instance !== undefined) this.#ids.set(instance, this.#names.hold("shaper", instance));
      this.#attempt(instance ?? String(id), () => this.#lift(id, state));
    }
  }

  #forget(instance: string): void {
    const name = this.#ids.get(instance);
    if (name) this.#names.drop(name);
    this.#ids.delete(instance);
  }

  /** Removes the classes of removed limits that have drained; others are tried again in a later pass. */
  prune(): void {
    const gone = [...(this.#held ?? [])].filter(([, { draining }]) => draining);
    if (gone.length === 0) {
      this.#drained.clear();
      return;
    }
    const byId = new Map([...this.#ids].map(([instance, { id }]) => [id, instance]));
    const backlog = backlogs(this.#network.classes(this.#pair.device));
    for (const [id, state] of gone) {
      const own = minorsOf(id, state);
      if (own.some((one) => backlog.get(one))) continue;
      this.#network.changeTc(this.#pair.device, own.toReversed().map(removalOf));
      this.#held?.delete(id);
      const instance = byId.get(id);
      if (instance !== undefined && !this.#wanted.has(instance)) this.#forget(instance);
      this.writes++;
    }
    if ([...(this.#held?.values() ?? [])].some(({ draining }) => draining)) this.#drained.fail(true);
    else this.#drained.clear();
  }

  /**
   * The kernel logs a warning for each change of a bucket smaller than its device's MTU, so the MTU is kept at the
   * largest.
   */
  #fit(): void {
    const mtu = Math.max(...this.#mtus.keys());
    if (mtu === this.#mtu) return;
    const { device, other } = this.#pair;
    if (this.#devices.info(device)?.mtu !== mtu) {
      for (const name of [other, device]) this.#network.setMtu(name, mtu);
      this.#devices.reread([other, device]);
      this.writes++;
    }
    this.#mtu = mtu;
  }

  #read(): Map<number, Classes> {
    const { device } = this.#pair;
    const ifindex = this.#devices.ifindex(device);
    if (ifindex === undefined) throw new Fault("no-device", `shape packets: there is no device ${device}`);
    if (this.#held && this.#ifindex === ifindex) return this.#held;
    this.#root();
    this.#held = readClasses(this.#network.classes(device));
    this.#ifindex = ifindex;
    return this.#held;
  }

  #root(): void {
    const { device } = this.#pair;
    const root = this.#network.qdiscs(device).find(({ parent }) => parent === TC_ROOT);
    if (root?.kind === "htb" && root.handle === handle(MAJOR)) return;
    if (root?.kind === "htb") this.#network.changeTc(device, [{ op: "remove", kind: "qdisc", parent: TC_ROOT }]);
    const sizes = { header: ETHERNET, table: SIZE_TABLE };
    this.#network.changeTc(device, [{ op: "set", kind: "htb", handle: handle(MAJOR), parent: TC_ROOT, sizes }]);
    this.writes++;
  }
}

/** Blocks this thread, seconds. */
const pause = (seconds: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
