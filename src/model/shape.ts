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
 * How one limit is shaped: a parent class with the rate; below it a class for sparse flows, which is served first, a
 * class for sparse flows beyond their rate, and leaves for all other flows, which take turns.
 */
export interface Shape {
  parent: ShapeClass;
  first: ShapeClass;
  leaf: ShapeClass;
  set: LeafSet;
  /** Leaves of the set that are in use. */
  leaves: number;
  /** Bytes that a single TCP flow may have queued, and that each of many may always have queued. */
  queue: number;
  least: number;
  /** Bytes that local senders with a charged socket may have queued. */
  deep: number;
  /** Time of one byte at layer 3, ns / 1024. */
  byte: number;
  /** The most segments that a local sender should put into one packet. */
  senderSegments: number;
}

/** Leaves that segment packets of more than `split` bytes as they are queued; `split` never changes within a set. */
export interface LeafSet {
  /** Place of the first leaf in the limit's block of classes. */
  place: number;
  split: number;
}

/** Places in a limit's block of classes, as in src/functions/limit/tables.h. */
export const PLACE = { parent: 0, first: 1, shared: 2 } as const;
export const SETS = [4, 24, 44] as const;
export const MAX_LEAVES = 20;
/** Classes per block. */
export const BLOCK = 64;
/** Number of blocks in 16-bit minor numbers, less one: the first is the root's. The last is not used. */
export const MAX_SHAPERS = 65_536 / BLOCK - 1;
/** Segments per packet without restriction: the kernel's bound. */
export const ANY_SEGMENTS = 65_535;

const ETHERNET = 14;
const MBIT = 1e6;
/** The most time at the rate that one packet should take, seconds. */
const PACKET_TIME = 0.001;
/** Larger than any packet: nothing is split. */
const NO_SPLIT = 1 << 24;
/** The largest TCP packet that senders build by default, bytes. */
const LARGEST_PACKET = 65_536;
/** Rates from which larger packets are not split, bit/s. */
const MANY_SEGMENTS = 40 * MBIT;
const ALL_SEGMENTS = 400 * MBIT;
/** The longest round of all leaves, seconds. */
const ROUND = 0.12;
/** Ceiling of leaves, bit/s: the parent limits them. */
const OPEN = 100e9;

/**
 * The root's size table charges 647/640 bytes per byte at layer 3: the smallest IPv6 MTU with and without Ethernet
 * header. Segments split by a leaf are charged with their Ethernet header instead, which is never more.
 */
const CHARGE = { with: 647, of: 640 } as const;
/** The size table: charge by bytes at layer 3; beyond its end the kernel extrapolates. */
export const SIZE_TABLE: readonly number[] = Array.from({ length: 2048 }, (_, bytes) =>
  Math.floor((bytes * CHARGE.with) / CHARGE.of),
);

/**
 * Eight BBR flows queue 1.6 MB before they know the rate, at 3 Mbit/s over IPv6 more than 2; if that is dropped, they
 * need seconds to recover. At gigabits one flow in slow start queues all that the kernel allows per socket, 4 MB.
 */
const CHARGED_QUEUE = 3_000_000;

/**
 * A pause of the machine that loses no throughput, seconds: a virtual CPU may not run for some time. What could not be
 * sent is caught up slightly above the rate; so is an idle time of the same length, once.
 */
const PAUSE = 0.042;
/** The most by which the first second after idle time may exceed the rate, relative. */
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

/** What may be sent at once after idle time. */
function burstOf(rate: number, frame: number): number {
  return Math.max(frame, Math.min(bytesIn(rate, 0.01), bytesIn(rate, 0.004) + 1_000_000));
}

/**
 * The rate above the limit for catching up: what remains of the first second's excess after the burst and the packet
 * that overdraws it.
 */
function catchUp(rate: number, frame: number, burst: number): number {
  return Math.max(0.01, FIRST_SECOND - (burst + frame) / (rate / 8));
}

/** A set's split size is the same for all rates that use it. A frame is never split. */
function setOf(rate: number, frame: number): LeafSet {
  if (rate < MANY_SEGMENTS) return { place: SETS[0], split: Math.ceil(1.5 * frame) + 128 };
  if (rate < ALL_SEGMENTS) return { place: SETS[1], split: 12 * frame + 128 };
  return { place: SETS[2], split: NO_SPLIT };
}

function segmentsOf(rate: number, mtu: number): number {
  const packet = bytesIn(rate, PACKET_TIME);
  return packet >= LARGEST_PACKET ? ANY_SEGMENTS : Math.max(1, Math.floor(packet / mtu));
}
