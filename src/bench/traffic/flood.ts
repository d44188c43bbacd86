import { Batch, DatagramSocket } from "../../kernel/index.ts";

export interface FloodOptions {
  address: string;
  port: number;
  /** Payload of each datagram. */
  bytes: number;
}

const SLOTS = 256;
/** Batches between two checks for signals. */
const TURNS = 20;

/** Sends the same datagram without pause. To be created in the sender's namespace; `run` then sends. */
export class Flood {
  readonly #socket = new DatagramSocket();
  readonly #batch: Batch;

  constructor({ address, port, bytes }: FloodOptions) {
    this.#socket.connect(address, port);
    this.#batch = new Batch(SLOTS, bytes);
  }

  async run(signal: AbortSignal): Promise<null> {
    while (!signal.aborted) {
      for (let i = 0; i < TURNS; i++) this.#socket.send(this.#batch, SLOTS);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return null;
  }

  close(): void {
    this.#socket.close();
  }
}

/** A port whose datagrams are not read, so that its socket buffer fills up. */
export class Sink {
  readonly #socket: DatagramSocket;

  constructor({ port }: { port: number }) {
    this.#socket = new DatagramSocket({ port, stamps: false, receiveBuffer: 4096 });
  }

  async run(signal: AbortSignal): Promise<null> {
    const alive = setInterval(() => {}, 60_000);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    clearInterval(alive);
    return null;
  }

  close(): void {
    this.#socket.close();
  }
}
