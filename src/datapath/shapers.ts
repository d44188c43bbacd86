import {
  type ClassInfo,
  changeTc,
  classes,
  findLink,
  handle,
  KernelError,
  setLink,
  TC_ROOT,
  type TcChange,
} from "../kernel/index.ts";
import type { Shaper } from "../model/desired.ts";
import { memo } from "../model/memo.ts";
import { type Shape, type ShapeClass, shape } from "../model/shape.ts";
import type { Failure } from "./failure.ts";

export type Leaf = "small" | "bulk";

const MAJOR = 1;
const PER_INSTANCE = 3;
const OFFSET = { parent: 0, small: 1, bulk: 2 } as const;
/** An instance's limit is gone: what is queued leaves at this rate before the class goes, bit/s. */
const DRAIN = { rate: 100e9, mtu: 1500, charged: false };
/** The bulk leaf's bucket is there to split packets, never to hold them: beyond what a CPU can dequeue. bit/s. */
const NEVER_HOLDS = 400e9;

const minor = (instance: number, part: keyof typeof OFFSET): number => instance * PER_INSTANCE + OFFSET[part];

/** A leaf's class as packets carry it in skb->priority. Derived from the instance's id, so it outlives the agent. */
export const classId = (instance: number, leaf: Leaf): number => handle(MAJOR, minor(instance, leaf));

/** The HTB classes of a shaping device: three for each limit. */
export class Shapers {
  /** Kernel objects made, changed or removed so far. */
  writes = 0;
  readonly #device: string;
  readonly #other: string;
  /** The device that `#held` is about. */
  #ifindex: number | undefined;
  #mtu = 0;
  /** What each class tree was given last, by instance id; read from the kernel at first. */
  #held: Map<number, Held> | undefined;

  /** The pair's end that has the classes, and its far end. */
  constructor({ device, other }: { device: string; other: string }) {
    this.#device = device;
    this.#other = other;
  }

  /** Forgets what the kernel held: the next pass reads it again. */
  forget(): void {
    this.#held = undefined;
  }

  /** Adds and changes classes, live: a change touches no other class and loses no packet. */
  ensure(wanted: readonly Shaper[], instanceId: (owner: string) => number): Failure[] {
    const failures: Failure[] = [];
    if (wanted.length === 0) return failures;
    this.#follow();
    this.#fit(Math.max(...wanted.map((shaper) => shaper.mtu)));
    const held = this.#read(true);
    for (const shaper of wanted) {
      const id = instanceId(shaper.owner);
      const now = held.get(id);
      const target = shapeOf(shaper);
      const rate = kernelRate(target.parent.rate);
      if (now?.rate === rate && now.whole) continue;
      try {
        changeTc(this.#device, changesFor(id, target));
        held.set(id, { rate, whole: true, draining: false });
        this.writes++;
      } catch (error) {
        held.delete(id);
        failures.push({ object: `shaper ${shaper.owner}`, message: (error as Error).message });
      }
    }
    return failures;
  }

  /** Ends classes that no shaper owns: first they drain, in a later pass they go. Returns how many are draining. */
  prune(wanted: readonly Shaper[], instanceId: (owner: string) => number): number {
    const keep = new Set(wanted.map((shaper) => instanceId(shaper.owner)));
    const stale = [...this.#read(false)].filter(([id]) => !keep.has(id));
    if (stale.length === 0) return 0;
    const backlog = backlogs(classes(this.#device));
    let draining = 0;
    for (const [id, state] of stale) {
      if (state.draining && !backlog.get(id)) {
        changeTc(this.#device, removalOf(id));
        this.#held?.delete(id);
        this.writes++;
        continue;
      }
      draining++;
      if (state.draining) continue;
      changeTc(this.#device, changesFor(id, shape(DRAIN)).slice(1));
      this.#held?.set(id, { ...state, draining: true });
    }
    return draining;
  }

  /** Packets and bytes that a limit's queues refused. */
  dropped(instance: number): number {
    const own = new Set([minor(instance, "small"), minor(instance, "bulk")]);
    const found = classes(this.#device).filter((info) => own.has(info.handle & 0xffff));
    return found.reduce((sum, info) => sum + info.stats.drops, 0);
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
    const found = readHeld(this.#device);
    if (found.size > 0 || create) this.#held = found;
    return found;
  }
}

/** What a limit's classes are made of. */
export const shapeOf = memo(
  ({ rate, mtu, sender }: Shaper): Shape => shape({ rate, mtu, charged: sender !== undefined }),
);

interface Held {
  /** bit/s as the kernel keeps it. */
  rate: bigint;
  /** All three classes are there. */
  whole: boolean;
  draining: boolean;
}

/** The kernel counts whole bytes a second. */
const kernelRate = (bits: number): bigint => ((BigInt(Math.round(bits)) + 4n) / 8n) * 8n;

const instanceOf = (info: ClassInfo): number => Math.floor((info.handle & 0xffff) / PER_INSTANCE);

function readHeld(device: string): Map<number, Held> {
  const parts = new Map<number, ClassInfo[]>();
  for (const info of listClasses(device)) {
    if (info.kind !== "htb") continue;
    parts.set(instanceOf(info), [...(parts.get(instanceOf(info)) ?? []), info]);
  }
  const held = new Map<number, Held>();
  for (const [id, found] of parts) {
    const parent = found.find((info) => (info.handle & 0xffff) % PER_INSTANCE === OFFSET.parent);
    const rate = parent?.htb?.rate ?? 0n;
    held.set(id, {
      rate,
      whole: found.length === PER_INSTANCE,
      draining: rate === kernelRate(shape(DRAIN).parent.rate),
    });
  }
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

function backlogs(infos: readonly ClassInfo[]): Map<number, number> {
  const sums = new Map<number, number>();
  for (const info of infos) sums.set(instanceOf(info), (sums.get(instanceOf(info)) ?? 0) + info.stats.backlog);
  return sums;
}

/** The root comes first: an equal one that is there counts as set. */
function changesFor(instance: number, { parent, small, bulk }: Shape): TcChange[] {
  const root = handle(MAJOR);
  const top = handle(MAJOR, minor(instance, "parent"));
  const leaf = (part: Leaf, htb: ShapeClass): TcChange => ({
    op: "set",
    kind: "htb-class",
    handle: classId(instance, part),
    parent: top,
    htb,
  });
  const queue = (part: Leaf) =>
    ({ op: "set", handle: handle(minor(instance, part)), parent: classId(instance, part) }) as const;
  return [
    { op: "set", kind: "htb", handle: root, parent: TC_ROOT },
    { op: "set", kind: "htb-class", handle: top, parent: root, htb: parent },
    leaf("small", small),
    { ...queue("small"), kind: "bfifo", limit: small.queue },
    leaf("bulk", bulk),
    { ...queue("bulk"), kind: "tbf", rate: NEVER_HOLDS, burst: bulk.split, limit: bulk.queue },
  ];
}

function removalOf(instance: number): TcChange[] {
  return (["small", "bulk", "parent"] as const).map((part) => ({
    op: "remove",
    kind: "class",
    handle: handle(MAJOR, minor(instance, part)),
  }));
}
