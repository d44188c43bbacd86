import { type HtbClass, type HtbRate, handle, type TcChange } from "../kernel/index.ts";
import type { Shaper } from "../model/document.ts";
import { memo } from "../model/memo.ts";
import { BLOCK, PLACE, SETS, type Shape, shape } from "../model/shape.ts";

/** The major handle of the root qdisc. A root with another one is from an older version, and is replaced. */
export const MAJOR = 2;
/** The rate at which a removed limit's queue drains before its classes are removed, bit/s. */
export const DRAIN = { rate: 100e9, mtu: 1500 };
/** The rate of a leaf's tbf, bit/s: more than a CPU can dequeue. The tbf only splits packets and never delays them. */
const NEVER_HOLDS = 400e9;
/** A leaf's limit, bytes. It never drops: the limit's program decides which packets may wait. */
const NEVER_FULL = 1 << 30;

const minor = (id: number, place: number): number => id * BLOCK + place;

/**
 * The handle of a limit's parent class, from the shaper's id. The limit's other classes follow it. It stays the same
 * across restarts.
 */
export const blockOf = (id: number): number => handle(MAJOR, minor(id, PLACE.parent));

/** The parameters of a limit's classes. */
export const shapeOf = memo(({ rate, mtu }: Shaper): Shape => shape({ rate, mtu }));

/** The classes of a limit in the kernel. */
export interface Classes {
  /** Rate of the parent class, bit/s, as the kernel rounds it. */
  rate: bigint;
  /** The number of existing leaves, by place of their set. */
  leaves: Map<number, number>;
  /** The smallest quantum in each set, bytes. It grows with the largest packet that a leaf accepts. */
  quanta: Map<number, number>;
  draining: boolean;
  /** Sets, by place, with a class or queue that is missing or not as it was made; `TOP`: the classes in no set. */
  broken: Set<number>;
}

/** The kernel stores whole bytes per second. */
export const kernelRate = (bits: number): bigint => ((BigInt(Math.round(bits)) + 4n) / 8n) * 8n;
/** The rate of all leaves, as the kernel rounds it. */
const LEAF_RATE = kernelRate(shape(DRAIN).leaf.rate);
/** The same as the kernel rounds it. */
export const DRAINING = kernelRate(shape(DRAIN).parent.rate);

/** Classes by shaper id. */
export function readClasses(infos: readonly HtbRate[]): Map<number, Classes> {
  const held = new Map<number, Classes>();
  /** The number of classes of each set, by the minor number of its place. */
  const counts = new Map<number, number>();
  for (const info of infos) {
    const own = info.handle & 0xffff;
    const place = own % BLOCK;
    const id = (own - place) / BLOCK;
    const one = held.get(id) ?? noClasses();
    held.set(id, one);
    const set = setAt(place);
    counts.set(minor(id, set), (counts.get(minor(id, set)) ?? 0) + 1);
    addClass(one, set, place, info);
  }
  for (const [id, one] of held) {
    one.draining = one.rate === DRAINING;
    for (const [set, count] of [[TOP, TOP_CLASSES] as const, ...one.leaves]) {
      if (counts.get(minor(id, set)) !== count) one.broken.add(set);
    }
  }
  return held;
}

function addClass(one: Classes, set: number, place: number, info: HtbRate): void {
  if (place === PLACE.parent) one.rate = info.rate;
  else if (!isOwn(info, place)) one.broken.add(set);
  if (set === TOP) return;
  one.leaves.set(set, Math.max(one.leaves.get(set) ?? 0, place - set + 1));
  one.quanta.set(set, Math.min(one.quanta.get(set) ?? Number.POSITIVE_INFINITY, info.quantum));
}

/** The set of a place in a block. */
const setAt = (place: number): number => SETS.findLast((first) => place >= first) ?? TOP;

/** Stands for the classes that are in no set. */
export const TOP = PLACE.parent;
const TOP_CLASSES = Object.keys(PLACE).length;

export const noClasses = (): Classes => ({
  ...{ rate: 0n, leaves: new Map(), quanta: new Map(), draining: false, broken: new Set() },
});

/** Whether a class below a limit's parent has the queue and, unless it is the first, the rate that Weir gave it. */
function isOwn({ handle: own, rate, queue }: HtbRate, place: number): boolean {
  return queue === handle(own & 0xffff) && (place === PLACE.first || rate === LEAF_RATE);
}

/** Whether the class with this handle is among these. @param held classes by shaper id */
export function hasClass(held: ReadonlyMap<number, Classes> | undefined, own: number): boolean {
  const place = (own & 0xffff) % BLOCK;
  const one = held?.get(((own & 0xffff) - place) / BLOCK);
  const set = setAt(place);
  return one !== undefined && place - set < (set === TOP ? TOP_CLASSES : (one.leaves.get(set) ?? 0));
}

export const sumOf = (minors: readonly number[], backlog: ReadonlyMap<number, number>): number =>
  minors.reduce((sum, one) => sum + (backlog.get(one) ?? 0), 0);

/** Minor numbers of all classes of a limit, the parent's first. */
export function minorsOf(id: number, { leaves }: Pick<Classes, "leaves">): number[] {
  const top = [PLACE.parent, PLACE.first, PLACE.shared].map((place) => minor(id, place));
  return [...top, ...[...leaves].flatMap(([place, count]) => leavesOf(id, place, count))];
}

/** Minor numbers of a set's leaves. */
export const leavesOf = (id: number, place: number, count: number): number[] =>
  Array.from({ length: count }, (_, leaf) => minor(id, place + leaf));

/** Creates the parent and the two classes that are in no set. */
export function topChanges(id: number, { parent, first, leaf }: Shape): TcChange[] {
  const top = handle(MAJOR, minor(id, PLACE.parent));
  return [
    { op: "set", kind: "htb-class", handle: top, parent: handle(MAJOR), htb: parent },
    classOf(id, PLACE.first, first),
    fifo(id, PLACE.first),
    classOf(id, PLACE.shared, leaf),
    fifo(id, PLACE.shared),
  ];
}

/** Creates the leaves of a set that do not exist yet. */
export function leafChanges(id: number, { leaf, leaves, set }: Shape, made: number): TcChange[] {
  const places = Array.from({ length: Math.max(0, leaves - made) }, (_, index) => set.place + made + index);
  return places.flatMap((place) => [
    classOf(id, place, leaf),
    set.split < NEVER_FULL >> 7 ? splitter(id, place, set.split) : fifo(id, place),
  ]);
}

const classOf = (id: number, place: number, htb: HtbClass): TcChange => {
  const parent = handle(MAJOR, minor(id, PLACE.parent));
  return { op: "set", kind: "htb-class", handle: handle(MAJOR, minor(id, place)), parent, htb };
};

const queueOf = (id: number, place: number) =>
  ({ op: "set", handle: handle(minor(id, place)), parent: handle(MAJOR, minor(id, place)) }) as const;
const fifo = (id: number, place: number): TcChange => ({ ...queueOf(id, place), kind: "bfifo", limit: NEVER_FULL });
const splitter = (id: number, place: number, split: number): TcChange => ({
  ...queueOf(id, place),
  kind: "tbf",
  rate: NEVER_HOLDS,
  burst: split,
  limit: NEVER_FULL,
});

export const removalOf = (own: number): TcChange => ({ op: "remove", kind: "class", handle: handle(MAJOR, own) });
