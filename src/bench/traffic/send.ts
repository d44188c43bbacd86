import { Batch, DatagramSocket, wallClock } from "../../kernel/index.ts";
import { MESSAGE_BYTES, wireBytes, writeMessage } from "./message.ts";

export interface SendOptions {
  address: string;
  port: number;
  /** Payloads in bytes, in turn within each flow. */
  sizes: readonly number[];
  /** Rate of all flows, bit/s at layer 3; null: unlimited. */
  rate: number | null;
  seconds: number;
  mtu: number;
  /** Number of sockets, each a flow; default: 1. */
  flows?: number | undefined;
  /** Number of the first flow. */
  firstFlow?: number | undefined;
  /** Bytes of each socket's send buffer; default: the system's. */
  buffer?: number | undefined;
}

export interface Sent {
  packets: number;
  /** At layer 3. */
  bytes: number;
  /** By flow, of the first few. */
  flows: number[];
  /** Times of the first and the last datagram, µs of CLOCK_REALTIME. */
  start: number;
  end: number;
  /** How often a socket's buffer was full. */
  refused: number;
}

const SLOTS = 32;
const SHOWN_FLOWS = 64;
/** Batches between two readings of the clock if the rate is unlimited. */
const FLOOD = 20;
/** Most that a delayed sender catches up, µs. */
const BEHIND = 50_000;

/** Sends numbered and timed datagrams, evenly by the millisecond. To be created in the sender's namespace; `run` then sends. */
export class Sender {
  readonly #options: SendOptions;
  readonly #sockets: DatagramSocket[];
  readonly #numbers: number[];
  readonly #batch: Batch;
  readonly #wire: number[];
  #flow = 0;
  readonly #sent: Sent = { packets: 0, bytes: 0, flows: [], start: 0, end: 0, refused: 0 };

  constructor(options: SendOptions) {
    const { flows = 1, sizes, buffer, address, port, mtu } = options;
    if (sizes.some((size) => size < MESSAGE_BYTES)) throw new RangeError(`send: less than ${MESSAGE_BYTES} bytes`);
    this.#options = options;
    this.#sockets = Array.from({ length: flows }, () => new DatagramSocket({ sendBuffer: buffer }));
    for (const socket of this.#sockets) socket.connect(address, port);
    this.#numbers = Array<number>(flows).fill(0);
    this.#batch = new Batch(flows > SLOTS ? 1 : SLOTS, Math.max(...sizes));
    this.#wire = sizes.map((size) => wireBytes(size, mtu));
  }

  async run(signal: AbortSignal): Promise<Sent> {
    const { rate, seconds } = this.#options;
    const begin = wallClock();
    this.#sent.start = begin;
    const turn = rate === null ? this.#flood() : this.#pace(rate / 8e6, begin);
    while (!signal.aborted && wallClock() <= begin + 1e6 * seconds) await turn();
    this.#sent.flows = this.#numbers.slice(0, SHOWN_FLOWS);
    return this.#sent;
  }

  #flood(): () => Promise<void> {
    return () => {
      for (let i = 0; i < FLOOD; i++) this.#some(Number.POSITIVE_INFINITY);
      return new Promise((resolve) => setImmediate(resolve));
    };
  }

  /** Sends what is due every millisecond. @param rate bytes per microsecond */
  #pace(rate: number, begin: number): () => Promise<void> {
    let since = begin;
    let paid = 0;
    return () => {
      const now = wallClock();
      since = Math.max(since, now - BEHIND - paid / rate);
      for (let due = (now - since) * rate - paid; due > 0; ) {
        const bytes = this.#some(due);
        if (bytes === 0) break;
        paid += bytes;
        due -= bytes;
      }
      return new Promise((resolve) => setTimeout(resolve, 1));
    };
  }

  /** Sends up to a batch from the next flow, about `due` bytes. Returns the bytes at layer 3 that the socket accepted. */
  #some(due: number): number {
    const { sizes, firstFlow = 0 } = this.#options;
    const flow = this.#flow;
    this.#flow = (flow + 1) % this.#sockets.length;
    const first = this.#numbers[flow] as number;
    const at = wallClock();
    let count = 0;
    for (let left = due; left > 0 && count < this.#batch.slots; count++) {
      const kind = (first + count) % sizes.length;
      writeMessage(this.#batch.data, count * this.#batch.size, {
        flow: firstFlow + flow,
        number: first + count,
        sent: at,
      });
      this.#batch.setLength(count, sizes[kind] as number);
      left -= this.#wire[kind] as number;
    }
    const taken = this.#sockets[flow]?.send(this.#batch, count) ?? 0;
    if (taken < count) this.#sent.refused++;
    let bytes = 0;
    for (let i = 0; i < taken; i++) bytes += this.#wire[(first + i) % sizes.length] as number;
    this.#numbers[flow] = first + taken;
    this.#sent.packets += taken;
    this.#sent.bytes += bytes;
    if (taken > 0) this.#sent.end = at;
    return bytes;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}
