import {
  type ClassInfo,
  changeTc,
  classes,
  findLink,
  handle,
  KernelError,
  qdiscs,
  setLink,
  TC_ROOT,
  type TcChange,
} from "../kernel/index.ts";
import type { Shaper } from "../model/desired.ts";
import { memo } from "../model/memo.ts";
import { BLOCK, PLACE, SETS, type Shape, type ShapeClass, SIZE_TABLE, shape } from "../model/shape.ts";
import type { Failure } from "./failure.ts";

/** Of the root. Another root is an older Weir's, and goes. */
const MAJOR = 2;
/** A limit is gone: what is queued leaves at this rate before the classes go, bit/s. */
const DRAIN = { rate: 100e9, mtu: 1500 };
/** A leaf's bucket is there to split packets, never to hold them: beyond what a CPU can dequeue. bit/s. */
const NEVER_HOLDS = 400e9;
/** A leaf refuses nothing: the program decides what may wait. Bytes. */
const NEVER_FULL = 1 << 30;
/** What leaves a set of leaves too slowly for the limit's new rate is dropped with them, seconds. */
const DRAIN_TIME = 0.15;
/** A limit that is cut lets go at its old rate, for so long, what would take longer than this at its new one, seconds. */
const CUT = { wait: 0.1, look: 0.01, time: 0.03 } as const;
const ETHERNET = 14;

const minor = (id: number, place: number): number => id * BLOCK + place;

/** The class of a limit's parent, by the shaper's id; the limit's other classes follow it. Outlives the agent. */
export const blockOf = (id: number): number => handle(MAJOR, minor(id, PLACE.parent));

/** The HTB classes of a shaping device: a block for each limit. */
export class Shapers {
  /** Kernel objects made, changed or removed so far. */
  writes = 0;
  readonly #device: string;
  readonly #other: string;
  /** The device that `#held` is about. */
  #ifindex: number | undefined;
  #mtu = 0;
  /** What each block was given last, by the shaper's id; read from the kernel at first. */
  #held: Map<number, Held> | undefined;
  /** Limits whose rate is to be lowered. */
  readonly #cuts: Cut[] = [];

  /** The pair's end that has the classes, and its far end. */
  constructor({ device, other }: { device: string; other: string }) {
    this.#device = device;
    this.#other = other;
  }

  /** Forgets what the kernel held: the next pass reads it again. */
  forget(): void {
    this.#held = undefined;
  }

  /**
   * Adds and changes classes, live: a change touches no other limit's class, and no queue. Rates are not lowered yet, and
   * those of limits that are gone are lifted: what waits leaves before its flow's next packet can take another way.
   */
  ensure(wanted: readonly Shaper[], idOf: (owner: string) => number): Failure[] {
    const failures: Failure[] = [];
    if (wanted.length > 0) {
      this.#follow();
      this.#fit(Math.max(...wanted.map((shaper) => shaper.mtu)));
    }
    const held = this.#read(wanted.length > 0);
    this.#cuts.length = 0;
    const kept = new Set<number>();
    for (const shaper of wanted) {
      const { owner } = shaper;
      attempt(failures, owner, () => {
        const id = idOf(owner);
        kept.add(id);
        this.#ensureOne({ owner, id, target: shapeOf(shaper) }, held);
      });
    }
    for (const [id, state] of held) {
      if (!kept.has(id) && !state.draining) attempt(failures, String(id), () => this.#drain(id, state));
    }
    return failures;
  }

  #ensureOne({ owner, id, target }: Cut, held: Map<number, Held>): void {
    const now = held.get(id);
    const rate = kernelRate(target.parent.rate);
    const made = now?.leaves.get(target.set.place) ?? 0;
    // Leaves of smaller frames refuse larger ones: all are changed, which loses nothing. They never shrink: a packet that
    // waits must not be larger than its leaf's bucket.
    const fits = (now?.quanta.get(target.set.place) ?? 0) >= target.leaf.quantum;
    const isCut = now !== undefined && now.rate > rate;
    if (isCut) this.#cuts.push({ owner, id, target });
    if ((isCut || now?.rate === rate) && made >= target.leaves && fits) return;
    held.delete(id);
    const count = Math.max(made, target.leaves);
    changeTc(this.#device, [
      ...(isCut ? [] : topChanges(id, target)),
      ...leafChanges(id, { ...target, leaves: count }, fits ? made : 0),
    ]);
    const leaves = new Map(now?.leaves).set(target.set.place, count);
    const quanta = fits ? now?.quanta : new Map(now?.quanta).set(target.set.place, target.leaf.quantum);
    held.set(id, { rate: isCut ? now.rate : rate, leaves, quanta: quanta ?? new Map(), draining: false });
    this.writes++;
  }

  /**
   * Lowers the rates of limits that are cut. Their rows say so already, so what waits is from before: it leaves at the old
   * rate, in its order. What does not in time, TCP's at slow rates, leaves at the new one, or goes with leaves that are
   * not in force any more.
   */
  lower(): Failure[] {
    const cuts = this.#cuts.splice(0);
    if (cuts.length === 0) return [];
    const failures: Failure[] = [];
    const backlog = this.#waitFor(cuts);
    for (const cut of cuts) attempt(failures, cut.owner, () => this.#lowerOne(cut, backlog));
    return failures;
  }

  /** Until little waits of these limits, or no less than before. Bytes that still wait, by class. */
  #waitFor(cuts: readonly Cut[]): ReadonlyMap<number, number> {
    const end = performance.now() + CUT.wait * 1000;
    let before: ReadonlyMap<number, number> | undefined;
    for (;;) {
      const backlog = backlogs(classes(this.#device));
      const waits = ({ id, target }: Cut): boolean => {
        const bytes = this.#waiting(id, backlog);
        return 8 * bytes > CUT.time * target.parent.rate && (!before || bytes < this.#waiting(id, before));
      };
      if (performance.now() >= end || !cuts.some(waits)) return backlog;
      before = backlog;
      pause(CUT.look);
    }
  }

  #lowerOne({ id, target }: Cut, backlog: ReadonlyMap<number, number>): void {
    const now = this.#held?.get(id);
    if (!now) return; // its leaves could not be made, and that was reported
    this.#held?.delete(id);
    const late = [...now.leaves].filter(([place, count]) => {
      const bytes = sumOf(leavesOf(id, place, count), backlog);
      return place !== target.set.place && 8 * bytes > DRAIN_TIME * target.parent.rate;
    });
    const removed = late.flatMap(([place, count]) => leavesOf(id, place, count)).map(removalOf);
    changeTc(this.#device, [...topChanges(id, target), ...removed]);
    const leaves = new Map(now.leaves);
    for (const [place] of late) leaves.delete(place);
    this.#held?.set(id, { ...now, leaves, rate: kernelRate(target.parent.rate), draining: false });
    this.writes++;
  }

  /** Bytes of a limit that wait, in all classes below its parent. */
  #waiting(id: number, backlog: ReadonlyMap<number, number>): number {
    const held = this.#held?.get(id);
    return held ? sumOf(minorsOf(id, held).slice(1), backlog) : 0;
  }

  /** What waits of a limit that is gone leaves at once. */
  #drain(id: number, state: Held): void {
    changeTc(this.#device, topChanges(id, shape(DRAIN)));
    this.#held?.set(id, { ...state, draining: true });
  }

  /** Ends classes of limits that are gone and have drained; the others go in a later pass. */
  prune(): void {
    const gone = [...this.#read(false)].filter(([, { draining }]) => draining);
    if (gone.length === 0) return;
    const backlog = backlogs(classes(this.#device));
    for (const [id, state] of gone) {
      const own = minorsOf(id, state);
      if (own.some((one) => backlog.get(one))) continue;
      changeTc(this.#device, own.toReversed().map(removalOf));
      this.#held?.delete(id);
      this.writes++;
    }
  }

  /** A device that was made anew has no classes, whatever the old one had. */
  #follow(): void {
    const ifindex = findLink(this.#device)?.ifindex;
    if (ifindex === this.#ifindex) return;
    this.#held = undefined;
    this.#mtu = 0;
    this.#ifindex = ifindex;
  }

  /** The kernel warns, on every change, of a bucket smaller than its device's MTU. */
  #fit(mtu: number): void {
    if (mtu === this.#mtu) return;
    if (findLink(this.#device)?.mtu !== mtu) {
      for (const name of [this.#other, this.#device]) setLink(name, { mtu });
      this.writes++;
    }
    this.#mtu = mtu;
  }

  #read(create: boolean): Map<number, Held> {
    if (this.#held) return this.#held;
    if (create) this.#root();
    const found = readHeld(this.#device);
    if (found.size > 0 || create) this.#held = found;
    return found;
  }

  #root(): void {
    const root = qdiscs(undefined, this.#device).find(({ parent }) => parent === TC_ROOT);
    if (root?.kind === "htb" && root.handle === handle(MAJOR)) return;
    if (root?.kind === "htb") changeTc(this.#device, [{ op: "remove", kind: "qdisc", parent: TC_ROOT }]);
    const sizes = { header: ETHERNET, table: SIZE_TABLE };
    changeTc(this.#device, [{ op: "set", kind: "htb", handle: handle(MAJOR), parent: TC_ROOT, sizes }]);
    this.writes++;
  }
}

/** What a limit's classes are made of. */
export const shapeOf = memo(({ rate, mtu }: Shaper): Shape => shape({ rate, mtu }));

/** A limit's shaper, and what it is to become. */
interface Cut {
  owner: string;
  id: number;
  target: Shape;
}

interface Held {
  /** The parent's, bit/s as the kernel keeps it. */
  rate: bigint;
  /** Leaves that are there, by the place of their set. */
  leaves: Map<number, number>;
  /** Bytes of their turns, the least of a set: grows with the frames that they let pass. */
  quanta: Map<number, number>;
  draining: boolean;
}

/** The kernel counts whole bytes a second. */
const kernelRate = (bits: number): bigint => ((BigInt(Math.round(bits)) + 4n) / 8n) * 8n;
const DRAINING = kernelRate(shape(DRAIN).parent.rate);

function readHeld(device: string): Map<number, Held> {
  const held = new Map<number, Held>();
  for (const { kind, handle: own, htb } of listClasses(device)) {
    if (kind !== "htb") continue;
    const id = Math.floor((own & 0xffff) / BLOCK);
    const place = (own & 0xffff) % BLOCK;
    const one = held.get(id) ?? { rate: 0n, leaves: new Map<number, number>(), quanta: new Map(), draining: false };
    held.set(id, one);
    const set = SETS.findLast((first) => place >= first);
    if (place === PLACE.parent) one.rate = htb?.rate ?? 0n;
    if (place === PLACE.parent || set === undefined) continue;
    one.leaves.set(set, (one.leaves.get(set) ?? 0) + 1);
    one.quanta.set(set, Math.min(one.quanta.get(set) ?? Number.POSITIVE_INFINITY, htb?.quantum ?? 0));
  }
  for (const one of held.values()) one.draining = one.rate === DRAINING;
  return held;
}

/** No device yet means no classes yet. */
function listClasses(device: string): ClassInfo[] {
  try {
    return classes(device);
  } catch (error) {
    if (error instanceof KernelError && error.code === "device-missing") return [];
    throw error;
  }
}

/** Bytes that wait, by the class's minor number. */
function backlogs(infos: readonly ClassInfo[]): Map<number, number> {
  return new Map(infos.map((info) => [info.handle & 0xffff, info.stats.backlog]));
}

const sumOf = (minors: readonly number[], backlog: ReadonlyMap<number, number>): number =>
  minors.reduce((sum, one) => sum + (backlog.get(one) ?? 0), 0);

function minorsOf(id: number, { leaves }: Held): number[] {
  const top = [PLACE.parent, PLACE.first, PLACE.shared].map((place) => minor(id, place));
  return [...top, ...[...leaves].flatMap(([place, count]) => leavesOf(id, place, count))];
}

/** Minors of a set's leaves. */
const leavesOf = (id: number, place: number, count: number): number[] =>
  Array.from({ length: count }, (_, leaf) => minor(id, place + leaf));

/** One limit's failure stops no other's work. */
function attempt(failures: Failure[], owner: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    failures.push({ object: `shaper ${owner}`, message: (error as Error).message });
  }
}

/** Stops this thread, seconds. */
const pause = (seconds: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);

/** The parent and the two classes that are not of a set. */
function topChanges(id: number, { parent, first, leaf }: Shape): TcChange[] {
  const top = handle(MAJOR, minor(id, PLACE.parent));
  return [
    { op: "set", kind: "htb-class", handle: top, parent: handle(MAJOR), htb: parent },
    classOf(id, PLACE.first, first),
    fifo(id, PLACE.first),
    classOf(id, PLACE.shared, leaf),
    fifo(id, PLACE.shared),
  ];
}

function leafChanges(id: number, { leaf, leaves, set }: Shape, made: number): TcChange[] {
  const places = Array.from({ length: Math.max(0, leaves - made) }, (_, index) => set.place + made + index);
  return places.flatMap((place) => [
    classOf(id, place, leaf),
    set.split < NEVER_FULL >> 7 ? splitter(id, place, set.split) : fifo(id, place),
  ]);
}

const classOf = (id: number, place: number, htb: ShapeClass): TcChange => {
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

const removalOf = (own: number): TcChange => ({ op: "remove", kind: "class", handle: handle(MAJOR, own) });
