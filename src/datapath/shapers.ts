import type { Change, Shaper } from "../model/document.ts";
import { MAX_SHAPERS, type Shape, shape } from "../model/shape.ts";
import { Backoff } from "./backoff.ts";
import type { Devices } from "./devices.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { Name, Names } from "./names.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";
import {
  type Classes,
  DRAIN,
  DRAINING,
  hasClass,
  kernelRate,
  leafChanges,
  leavesOf,
  minorsOf,
  noClasses,
  removalOf,
  shapeOf,
  sumOf,
  TOP,
  topChanges,
} from "./shaper-classes.ts";
import { type Cut, waitForQueues } from "./shaper-cuts.ts";
import { ShapingDevice } from "./shaping-device.ts";
import { SpareShapers } from "./spare-shapers.ts";

/**
 * Packets in a set of leaves that would take longer than this to leave at the limit's new rate are dropped with the
 * leaves, seconds.
 */
const DRAIN_TIME = 0.15;
/** Interval at which removed limits are checked for queued packets, ms. */
const DRAIN_LOOK = 1000;

const NO_LEAVES: Pick<Classes, "leaves"> = { leaves: new Map() };

interface Wanted {
  owner: string;
  item: Shaper;
}

/** The HTB classes on the shaping device: a block of minor numbers for each limit. */
export class Shapers {
  #writes = 0;
  readonly retry: Backoff;
  readonly #device: ShapingDevice;
  readonly #names: Names;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  /** Ids of shapers that are wanted, not removed yet or spare, by instance. */
  readonly #ids = new Map<string, Name>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** The number of shapers with each MTU. */
  readonly #mtus = new Map<number, number>();
  /** The device that `#held` describes. */
  #ifindex: number | undefined;
  /** The classes as last set, by shaper id; read from the kernel at first. */
  #held: Map<number, Classes> | undefined;
  readonly #spares = new SpareShapers();
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
    this.#device = new ShapingDevice(pair, network, devices);
    this.#names = names;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
    this.#drained = new Backoff(now, { least: DRAIN_LOOK, most: DRAIN_LOOK });
  }

  /** Number of kernel objects created, changed or removed so far. */
  get writes(): number {
    return this.#writes + this.#device.writes;
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

  /** Whether a class is one of those that are known to exist. */
  holds(own: number): boolean {
    return hasClass(this.#held, own);
  }

  /** Handles a shaping device that was created again: it has no classes. */
  follow(devices: ReadonlySet<string>): void {
    if (!devices.has(this.#device.name)) return;
    if (this.#device.ifindex !== this.#ifindex) {
      this.#dropSpares(new Map());
      this.doubt();
    }
    this.#device.forget();
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
    this.#device.fit(Math.max(...this.#mtus.keys()));
    const held = this.#read();
    const target = shapeOf(wanted.item);
    const name = this.#ids.get(instance) ?? this.#reuse(instance, target, held) ?? this.#names.hold("shaper", instance);
    this.#ids.set(instance, name);
    const isSpare = this.#spares.delete(name.id);
    this.#ensureOne({ instance, id: name.id, target }, held, isSpare);
  }

  /** A spare that fits, or any if no other id is left; undefined if there is none, or the instance has an id. */
  #reuse(instance: string, target: Shape, held: Map<number, Classes>): Name | undefined {
    if (this.#names.find("shaper", instance) !== undefined) return undefined;
    const spare = this.#spares.find(target, held) ?? (this.#isFull ? this.#spares.oldest : undefined);
    if (spare === undefined || spare.uses > 1) return undefined;
    const name = this.#names.rename(spare, instance);
    this.#ids.delete(spare.name);
    return name;
  }

  /** All ids are in use. */
  get #isFull(): boolean {
    return this.#ids.size >= MAX_SHAPERS - 1;
  }

  /** @param isSpare nothing is queued in its classes, and nothing refers to them yet */
  #ensureOne({ instance, id, target }: Cut, held: Map<number, Classes>, isSpare: boolean): void {
    const now = held.get(id);
    const rate = kernelRate(target.parent.rate);
    const { place } = target.set;
    const made = now?.leaves.get(place) ?? 0;
    // Leaves made for smaller packets would refuse larger ones, so all are changed, which drops nothing. They never
    // shrink: a queued packet must not be larger than its leaf's bucket.
    const fits = (now?.quanta.get(place) ?? 0) >= target.leaf.quantum;
    const isCut = now !== undefined && now.rate > rate && !isSpare;
    if (isCut) this.#cuts.push({ instance, id, target });
    const isBroken = now?.broken.has(TOP) || now?.broken.has(place);
    if ((isCut || now?.rate === rate) && made >= target.leaves && fits && !isBroken) return;
    held.delete(id);
    const count = Math.max(made, target.leaves);
    this.#device.change([
      ...(isCut ? [] : topChanges(id, target)),
      ...leafChanges(id, { ...target, leaves: count }, fits && !isBroken ? made : 0),
    ]);
    const leaves = new Map(now?.leaves).set(place, count);
    const quanta = fits ? now?.quanta : new Map(now?.quanta).set(place, target.leaf.quantum);
    const broken = new Set([...(now?.broken ?? [])].filter((set) => set !== place && (isCut || set !== TOP)));
    held.set(id, { ...noClasses(), rate: isCut ? now.rate : rate, leaves, quanta: quanta ?? new Map(), broken });
    this.#writes++;
  }

  /**
   * Lowers rates. The limits' map rows already have the new rates, so what is queued was admitted at the old ones, and
   * may leave at the old rate, in order. What does not leave in time leaves at the new rate, or is dropped with leaves
   * that are removed.
   */
  lower(): void {
    const cuts = this.#cuts.splice(0);
    if (cuts.length === 0) return;
    const ids = cuts.map(({ id }) => id);
    const backlog = waitForQueues(cuts, this.#held, () => this.#backlogs(ids));
    let isNew = false;
    for (const cut of cuts) {
      if (this.#failed.has(cut.instance)) continue;
      isNew = this.#attempt(cut.instance, () => this.#lowerOne(cut, backlog)) || isNew;
    }
    if (isNew) this.retry.fail(true);
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
    this.#device.change([...topChanges(id, target), ...removed]);
    const leaves = new Map(now.leaves);
    for (const [place] of late) leaves.delete(place);
    now.broken.delete(TOP);
    this.#held?.set(id, { ...now, leaves, rate: kernelRate(target.parent.rate), draining: false });
    this.#writes++;
  }

  /** Queued bytes in these limits' classes, by minor number. */
  #backlogs(ids: readonly number[]): Map<number, number> {
    return this.#device.backlogs(ids.flatMap((id) => minorsOf(id, this.#held?.get(id) ?? NO_LEAVES)));
  }

  /** Lets the queued packets of a removed limit leave at once. */
  #drain(instance: string): void {
    const name = this.#ids.get(instance);
    if (!name || this.#spares.has(name.id)) return;
    if (this.#unsure.has(name.id)) {
      this.#held = undefined;
      this.#unsure.clear();
    }
    const held = this.#held ?? this.#readClasses();
    if (held.size > 0) this.#held = held;
    const state = held.get(name.id);
    if (state) this.#lift(name.id, state);
    else this.#forget(instance);
  }

  #lift(id: number, state: Classes): void {
    if (!state.draining) this.#device.change(topChanges(id, shape(DRAIN)));
    state.rate = DRAINING;
    state.draining = true;
    if (this.#drained.left === undefined) this.#drained.fail(true);
  }

  /**
   * Takes over classes of limits that were removed while no agent ran. Their names keep their ids until they have
   * drained.
   */
  #drainStrangers(): void {
    const held = this.#held ?? this.#readClasses();
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

  /**
   * Keeps the classes of removed limits that have drained as spares, or removes them; others are tried again in a later
   * pass. Without any limit nothing is kept.
   */
  prune(): void {
    const gone = this.#draining();
    const backlog = gone.length === 0 ? new Map<number, number>() : this.#backlogs(gone);
    const byId = new Map(gone.length === 0 ? [] : [...this.#ids].map(([instance, { id }]) => [id, instance]));
    for (const id of gone) {
      const own = minorsOf(id, this.#held?.get(id) ?? NO_LEAVES);
      if (!own.some((one) => backlog.get(one))) this.#retire(id, byId.get(id));
    }
    if (this.#draining().length > 0) this.#drained.fail(true);
    else this.#drained.clear();
    if (this.#wanted.size > 0) return;
    while (this.shrink());
  }

  #draining(): number[] {
    return [...(this.#held ?? [])].flatMap(([id, { draining }]) => (draining && !this.#spares.has(id) ? [id] : []));
  }

  #retire(id: number, instance: string | undefined): void {
    const name = instance === undefined || this.#wanted.has(instance) ? undefined : this.#ids.get(instance);
    if (name && !this.#spares.isFull && !this.#isFull) this.#spares.add(name);
    else this.#removeClasses(id, name);
  }

  #removeClasses(id: number, name: Name | undefined): void {
    const own = minorsOf(id, this.#held?.get(id) ?? NO_LEAVES);
    this.#device.change(own.toReversed().map(removalOf));
    this.#held?.delete(id);
    if (name) this.#forget(name.name);
    this.#writes++;
  }

  /** Removes the classes of the oldest spare. Returns false if there was none. */
  shrink(): boolean {
    if (this.#spares.oldest) this.#held ??= this.#readClasses();
    const { oldest } = this.#spares;
    if (oldest === undefined) return false;
    this.#spares.delete(oldest.id);
    this.#removeClasses(oldest.id, oldest);
    return true;
  }

  #read(): Map<number, Classes> {
    const { ifindex, name } = this.#device;
    if (ifindex === undefined) throw new Fault("no-device", `shape packets: there is no device ${name}`);
    if (this.#held && this.#ifindex === ifindex) return this.#held;
    this.#device.setRoot();
    this.#held = this.#readClasses();
    this.#ifindex = ifindex;
    return this.#held;
  }

  /** Forgets spares whose classes are gone. */
  #dropSpares(held: ReadonlyMap<number, unknown>): void {
    for (const { id, name } of this.#spares.without(held)) {
      this.#spares.delete(id);
      this.#forget(name);
    }
  }

  #readClasses(): Map<number, Classes> {
    const held = this.#device.classes();
    this.#dropSpares(held);
    return held;
  }
}
