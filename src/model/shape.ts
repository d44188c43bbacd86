/** One HTB class: rates in bit/s as HTB counts them (Ethernet's 14 bytes a packet included), sizes in bytes. */
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
 * How one limit is shaped: a parent that holds the rate, and below it a leaf for small packets, which goes first, and
 * one for the rest, which may only borrow. Together they never pass the parent's rate.
 */
export interface Shape {
  parent: ShapeClass;
  /** `queue`: bytes that may wait. */
  small: ShapeClass & { queue: number };
  /** `split`: segmentation-offload packets of more bytes than this are split to the wire's size as they are queued. */
  bulk: ShapeClass & { queue: number; split: number };
  /** Segments that a local sender should put into one packet at most. */
  senderSegments: number;
}

/** What is shaped. */
export interface ShapeInput {
  /** bit/s at layer 3. */
  rate: number;
  /** Bytes at layer 3; the rate is exact for packets of this size. */
  mtu: number;
  /**
   * The senders' sockets are charged for what waits, so TCP holds back by itself and the queue may be deep. Without
   * that, senders learn of the limit by delay and loss alone.
   */
  charged: boolean;
}

/** Packets up to this many bytes at layer 3 are small: acknowledgements, DNS, requests, ping. */
export const SMALL_BYTES = 256;
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
/**
 * Eight flows of BBR put 1.6 MB into the queue before they know the rate, at 3 Mbit/s over IPv6 more than 2; dropped, they
 * take seconds to recover. From gigabits on one flow's slow start puts in all that the kernel lets a socket queue, 4 MB.
 */
const CHARGED_QUEUE = 3_000_000;

/**
 * A pause of the machine that costs nothing, seconds: a virtual CPU is taken away for up to 100 ms at a time. What could
 * not be sent meanwhile is caught up slightly above the rate; so is a silence of the same length, once.
 */
const PAUSE = 0.08;
/** Of a second: what the first one after a silence may be over the rate, all told. */
const FIRST_SECOND = 0.045;

/** The parameters that held the rate best; the function's README has the measurements. */
export function shape({ rate, mtu, charged }: ShapeInput): Shape {
  const frame = mtu + ETHERNET;
  const exact = (rate * frame) / mtu;
  const burst = burstOf(rate, frame);
  const quantum = Math.min(60_000, Math.max(2 * frame, burst));
  const common = { ceil: exact * (1 + catchUp(rate, frame, burst)), burst, cburst: burst, quantum };
  const packet = bytesIn(rate, PACKET_TIME);
  const segments = packet >= LARGEST_PACKET ? ANY_SEGMENTS : Math.max(1, Math.floor(packet / mtu));
  return {
    parent: { ...common, rate: exact, burst: Math.max(burst, bytesIn(rate, PAUSE)), prio: 0 },
    small: { ...common, rate: exact, prio: 0, queue: clamp(bytesIn(rate, 0.002), 30_000, 500_000) },
    bulk: { ...common, rate: 8, prio: 1, queue: queueOf(rate, charged), split: splitOf(segments, frame) },
    senderSegments: segments,
  };
}

const bytesIn = (rate: number, seconds: number): number => Math.round((rate / 8) * seconds);
const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, Math.round(value)));

/** What may leave at once after a silence. */
function burstOf(rate: number, frame: number): number {
  return Math.max(frame, Math.min(bytesIn(rate, 0.01), bytesIn(rate, 0.004) + 1_000_000));
}

/** How far above the rate to catch up: what the burst, and the packet that overdraws it, leave of the first second. */
function catchUp(rate: number, frame: number, burst: number): number {
  return Math.max(0.01, FIRST_SECOND - (burst + frame) / (rate / 8));
}

function queueOf(rate: number, charged: boolean): number {
  if (charged) return CHARGED_QUEUE + bytesIn(rate, 0.03);
  return clamp(30_000 * (rate / MBIT) ** 0.54, 15_000, 1_000_000_000);
}

/** Two segments are let through whole even at the lowest rates: splitting them gains nothing and costs TCP its bearings. */
function splitOf(segments: number, frame: number): number {
  if (segments === ANY_SEGMENTS) return NO_SPLIT;
  return Math.max(2, segments) * frame + 128;
}
