/** One HTB class: rates in bit/s as HTB counts them (Ethernet's 14 bytes a packet included), sizes in bytes. */
export interface ShapeClass {
  rate: number;
  ceil: number;
  burst: number;
  quantum: number;
  prio: number;
  /** Queue of a leaf. */
  queue: number;
}

/**
 * How one limit is shaped: a parent that holds the rate, and below it a leaf for small packets, which goes first, and
 * one for the rest, which may only borrow. Together they never pass the parent's rate.
 */
export interface Shape {
  parent: Omit<ShapeClass, "queue">;
  small: ShapeClass;
  bulk: ShapeClass;
}

/** Packets up to this many bytes at layer 3 are small: acknowledgements, DNS, requests, ping. */
export const SMALL_BYTES = 256;

const ETHERNET = 14;
const MBIT = 1e6;

/** Sizes in bytes that held the rate best, by rate in bit/s; between two of them the sizes follow in proportion. */
const MEASURED: readonly { rate: number; burst: number; queue: number }[] = [
  { rate: 1 * MBIT, burst: 3_000, queue: 60_000 },
  { rate: 37 * MBIT, burst: 3_000, queue: 150_000 },
  { rate: 100 * MBIT, burst: 20_000, queue: 250_000 },
  { rate: 650 * MBIT, burst: 60_000, queue: 600_000 },
  { rate: 1000 * MBIT, burst: 70_000, queue: 900_000 },
  { rate: 4000 * MBIT, burst: 160_000, queue: 2_500_000 },
  { rate: 10_000 * MBIT, burst: 400_000, queue: 6_000_000 },
];

/** @param rate bit/s at layer 3. @param mtu bytes at layer 3: the rate is exact for packets of this size. */
export function shape(rate: number, mtu: number): Shape {
  const ceil = (rate * (mtu + ETHERNET)) / mtu;
  const { burst, queue } = sizes(rate);
  const quantum = Math.min(60_000, Math.max(2 * (mtu + ETHERNET), burst));
  const common = { ceil, burst, quantum };
  return {
    parent: { ...common, rate: ceil, prio: 0 },
    small: { ...common, rate: ceil, prio: 0, queue: 15_000 + Math.round(queue / 10) },
    bulk: { ...common, rate: 8, prio: 1, queue },
  };
}

function sizes(rate: number): { burst: number; queue: number } {
  const above = MEASURED.findIndex((point) => point.rate >= rate);
  const high = MEASURED[above < 0 ? MEASURED.length - 1 : above];
  const low = MEASURED[above - 1];
  if (!high) throw new Error("no sizes measured");
  if (above === 0) return high;
  if (!low) return { burst: scale(high.burst, rate / high.rate), queue: scale(high.queue, rate / high.rate) };
  const share = (rate - low.rate) / (high.rate - low.rate);
  const between = (a: number, b: number) => Math.round(a + (b - a) * share);
  return { burst: between(low.burst, high.burst), queue: between(low.queue, high.queue) };
}

/** Beyond the table; the kernel keeps queue sizes in 32 bits. */
const scale = (size: number, factor: number): number => Math.min(1_000_000_000, Math.round(size * factor));
