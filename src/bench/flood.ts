import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Path } from "./alternate.ts";
import { fromSnmp } from "./counters.ts";
import { flood, sink, type Traffic } from "./traffic/traffic.ts";

/** UDP payload of a packet of 64 bytes, which includes the Ethernet checksum. */
const BYTES = 18;
const PORT = 9;
/** Time in which the receiver gets what a stopped sender had queued, ms. */
const DRAIN = 3;
const WARM_UP = 100;

/** Packets of 64 bytes on a path, sent in turns by one processor that does nothing else. */
export class Packets {
  readonly #source: Traffic<null>;
  readonly #sink: Traffic<null>;

  private constructor(source: Traffic<null>, sink: Traffic<null>) {
    this.#source = source;
    this.#sink = sink;
  }

  /** Starts the sender and stops it again: it runs in its turns only. */
  static async begin({ from, to, address }: Path): Promise<Packets> {
    const end = await sink(to, { port: PORT });
    const source = await flood(from, { address, port: PORT, bytes: BYTES });
    const packets = new Packets(source, end);
    await sleep(WARM_UP);
    packets.pause();
    await sleep(DRAIN);
    if (packets.received() > 0) return packets;
    await packets.end();
    throw new Error(`start packets to ${address}: none arrived`);
  }

  go(): void {
    process.kill(this.#source.pid, "SIGCONT");
  }

  pause(): void {
    process.kill(this.#source.pid, "SIGSTOP");
  }

  /** Sends for `ms` and returns the rate of arrivals, packets per second. */
  async turn(ms: number): Promise<number> {
    const before = this.received();
    const begin = performance.now();
    this.go();
    await sleep(ms);
    this.pause();
    const took = performance.now() - begin;
    await sleep(DRAIN);
    return (1000 * (this.received() - before)) / took;
  }

  /** Datagrams that have reached the receiver's UDP so far. */
  received(): number {
    return fromSnmp(readFileSync(`/proc/${this.#sink.pid}/net/snmp`, "utf8")).udpArrived;
  }

  async end(): Promise<void> {
    this.go();
    await Promise.all([this.#source.stop(), this.#sink.stop()]);
  }
}
