import { Arrivals, DatagramSocket } from "../../kernel/index.ts";
import { MESSAGE_BYTES, readMessage, wireBytes } from "./message.ts";

export interface ReceiveOptions {
  port: number;
  mtu: number;
}

/** Arrivals of one flow. */
export interface FlowArrivals {
  packets: number;
  /** At layer 3. */
  bytes: number;
  /** Datagrams that arrived after one with a higher number, and the largest distance. */
  late: number;
  farthest: number;
  highest: number;
}

export interface Received extends Omit<FlowArrivals, "highest"> {
  /** By flow. */
  flows: Record<string, FlowArrivals>;
  /** Times of arrival, µs of CLOCK_REALTIME. */
  first: number;
  last: number;
  /** ms from the sender's call to the arrival at the receiver's kernel. */
  delay: { p50: number; p99: number; max: number };
  /** Bytes at layer 3 by bins of BIN_MS since `first`. */
  bins: number[];
}

export const BIN_MS = 100;
const SLOTS = 256;
const BUFFER = 64 << 20;
/** Number of delays kept: of more packets every second, fourth, … is kept. */
const KEPT = 1 << 20;

/** Receives numbered datagrams. To be created in the receiver's namespace. */
export class Receiver {
  readonly #socket: DatagramSocket;
  readonly #arrivals = new Arrivals(SLOTS, MESSAGE_BYTES);
  readonly #mtu: number;
  readonly #flows = new Map<number, FlowArrivals>();
  #delays: number[] = [];
  #every = 1;
  #taken = 0;
  #first = 0;
  #last = 0;
  readonly #bins: number[] = [];

  constructor({ port, mtu }: ReceiveOptions) {
    this.#mtu = mtu;
    this.#socket = new DatagramSocket({ port, receiveBuffer: BUFFER });
  }

  async run(signal: AbortSignal): Promise<Received> {
    while (!signal.aborted) {
      while (this.#take() === SLOTS);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    while (this.#take() > 0);
    return this.#result();
  }

  #take(): number {
    const count = this.#socket.receive(this.#arrivals);
    for (let i = 0; i < count; i++) this.#note(i);
    return count;
  }

  #note(slot: number): void {
    const { flow, number, sent } = readMessage(this.#arrivals.data, slot * MESSAGE_BYTES);
    const time = this.#arrivals.time(slot);
    const bytes = wireBytes(this.#arrivals.length(slot), this.#mtu);
    const of = this.#flows.get(flow) ?? { packets: 0, bytes: 0, late: 0, farthest: 0, highest: -1 };
    if (of.packets === 0) this.#flows.set(flow, of);
    of.packets++;
    of.bytes += bytes;
    if (number > of.highest) of.highest = number;
    else {
      of.late++;
      of.farthest = Math.max(of.farthest, of.highest - number);
    }
    if (this.#first === 0) this.#first = time;
    this.#last = time;
    const bin = Math.max(0, Math.floor((time - this.#first) / (1000 * BIN_MS)));
    while (this.#bins.length <= bin) this.#bins.push(0);
    this.#bins[bin] = (this.#bins[bin] as number) + bytes;
    this.#keep(time - sent);
  }

  #keep(delay: number): void {
    if (this.#taken++ % this.#every !== 0) return;
    this.#delays.push(delay / 1000);
    if (this.#delays.length < KEPT) return;
    this.#delays = this.#delays.filter((_, i) => i % 2 === 0);
    this.#every *= 2;
  }

  #result(): Received {
    const flows = [...this.#flows.values()];
    const sum = (field: "packets" | "bytes" | "late"): number => flows.reduce((total, one) => total + one[field], 0);
    const sorted = Float64Array.from(this.#delays).sort();
    const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
    return {
      packets: sum("packets"),
      bytes: sum("bytes"),
      late: sum("late"),
      farthest: flows.reduce((most, { farthest }) => Math.max(most, farthest), 0),
      flows: Object.fromEntries([...this.#flows].slice(0, 64)),
      first: this.#first,
      last: this.#last,
      delay: { p50: at(0.5), p99: at(0.99), max: at(1) },
      bins: this.#bins,
    };
  }

  close(): void {
    this.#socket.close();
  }
}
