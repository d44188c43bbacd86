/** One HTB class: rates in bit/s as HTB charges them, sizes in bytes. */
export interface ShapeClass {
  rate: number;
  ceil: number;
  /** At `rate`. */
  burst: number;
  /** At `ceil`. */
  cburst: number;
  quantum: number;
  prio: number;
}

/**
 * How one limit is shaped: a parent that holds the rate; below it a class for sparse flows, which goes first, one for
 * those of them that find no room there, and leaves for all other flows, which take turns.
 */
export interface Shape {
  parent: ShapeClass;
  first: ShapeClass;
  leaf: ShapeClass;
  set: LeafSet;
  /** Leaves of the set in use. */
  leaves: number;
  /** Bytes that a single TCP flow may have waiting, and that each of many may in any case. */
  queue: number;
  least: number;
  /** Bytes that senders may have waiting whose sockets are charged for them. */
  deep: number;
  /** Time of one byte at layer 3, ns / 1024. */
  byte: number;
  /** Segments that a local sender should put into one packet at most. */
  senderSegments: number;
}

/** Leaves that split packets of more than `split` bytes to the wire's size as they are queued. It never changes. */
export interface LeafSet {
  /** Place of the first leaf in a limit's block of classes. */
  place: number;
  split: number;
}

/** Places in a limit's block of classes; `WEIR_LIMIT_FIRST` and others of src/functions/limit/tables.h. */
export const PLACE = { parent: 0, first: 1, shared: 2 } as const;
export const SETS = [4, 24, 44] as const;
export const MAX_LEAVES = 20;
/** Classes of a block. */
export const BLOCK = 64;
/** A device has this many blocks of 16-bit numbers, less one: the first is the root's. The last one is not used. */
export const MAX_SHAPERS = 65_536 / BLOCK - 1;
/** Segments a packet where nothing restricts them: the kernel's own bound. */
export const ANY_SEGMENTS = 65_535;

const ETHERNET = 14;
const MBIT = 1e6;
/** A packet should not stand for more of the rate than this, seconds. */
const PACKET_TIME = 0.001;
/** No packet is larger: nothing is split. */
const NO_SPLIT = 1 << 24;
/** The largest TCP packet that senders build by default, bytes. */
const LARGEST_PACKET = 65_536;
/** Rates from which packets of more segments stay whole, bit/s. */
const MANY_SEGMENTS = 40 * MBIT;
const ALL_SEGMENTS = 400 * MBIT;
/** One round of all leaves takes this long at most, seconds. */
const ROUND = 0.12;
/** No flow borrows more than the parent has: bit/s. */
const OPEN = 100e9;

/**
 * The root's size table charges a byte at layer 3 with 647/640: the smallest IPv6 MTU with and without Ethernet's header.
 * Segments that a leaf makes are charged with Ethernet's header instead, which is never more.
 */
const CHARGE = { with: 647, of: 640 } as const;
/** Of the size table: the charge by bytes at layer 3; beyond its end the kernel adds up. */
export const SIZE_TABLE: readonly number[] = Array.from({ length: 2048 }, (_, bytes) =>
  Math.floor((bytes * CHARGE.with) / CHARGE.of),
);

/**
 * Eight flows of BBR put 1.6 MB into the queue before they know the rate, at 3 Mbit/s over IPv6 more than 2; dropped, they
 * take seconds to recover. From gigabits on one flow's slow start puts in all that the kernel lets a socket queue, 4 MB.
 */
const CHARGED_QUEUE = 3_000_000;

/**
 * A pause of the machine that costs nothing, seconds: a virtual CPU is taken away for some time now and then. What could
 * not be sent meanwhile is caught up slightly above the rate; so is a silence of the same length, once.
 */
const PAUSE = 0.042;
/** Of a second: what the first one after a silence may be over the rate, all told. */
const FIRST_SECOND = 0.045;

/** @param rate bit/s at layer 3 @param mtu of the packets, bytes at layer 3 */
export function shape({ rate, mtu }: { rate: number; mtu: number }): Shape {
  const frame = mtu + ETHERNET;
  const exact = (rate * CHARGE.with) / CHARGE.of;
  const burst = burstOf(rate, frame);
  const ceil = exact * (1 + catchUp(rate, frame, burst));
  const set = setOf(rate, frame);
  const quantum = set.split === NO_SPLIT ? LARGEST_PACKET : set.place === SETS[0] ? frame : set.split;
  return {
    parent: { rate: exact, ceil, burst: Math.max(burst, bytesIn(rate, PAUSE)), cburst: burst, quantum, prio: 0 },
    first: { rate: exact, ceil, burst, cburst: burst, quantum, prio: 0 },
    leaf: { rate: 8, ceil: OPEN, burst: quantum, cburst: 1_000_000, quantum, prio: 1 },
    set,
    leaves: clamp(bytesIn(rate, ROUND) / quantum, 5, MAX_LEAVES),
    queue: clamp(30_000 * (rate / MBIT) ** 0.54, 15_000, 1_000_000_000),
    least: Math.max(5 * frame, quantum),
    deep: CHARGED_QUEUE + bytesIn(rate, 0.03),
    byte: clamp((8e9 * 1024) / rate, 1, 0xffff_ffff),
    senderSegments: segmentsOf(rate, mtu),
  };
}

const bytesIn = (rate: number, seconds: number): number => Math.round((rate / 8) * seconds);
const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, Math.floor(value)));

/** What may leave at once after a silence. */
function burstOf(rate: number, frame: number): number {
  return Math.max(frame, Math.min(bytesIn(rate, 0.01), bytesIn(rate, 0.004) + 1_000_000));
}

/** How far above the rate to catch up: what the burst, and the packet that overdraws it, leave of the first second. */
function catchUp(rate: number, frame: number, burst: number): number {
  return Math.max(0.01, FIRST_SECOND - (burst + frame) / (rate / 8));
}

/** A set's split is the same for all rates that use the set. A frame always passes whole. */
function setOf(rate: number, frame: number): LeafSet {
  if (rate < MANY_SEGMENTS) return { place: SETS[0], split: Math.ceil(1.5 * frame) + 128 };
  if (rate < ALL_SEGMENTS) return { place: SETS[1], split: 12 * frame + 128 };
  return { place: SETS[2], split: NO_SPLIT };
}

function segmentsOf(rate: number, mtu: number): number {
  const packet = bytesIn(rate, PACKET_TIME);
  return packet >= LARGEST_PACKET ? ANY_SEGMENTS : Math.max(1, Math.floor(packet / mtu));
}
