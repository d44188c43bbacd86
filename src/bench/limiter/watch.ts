import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../kernel/index.ts";
import { parseSnmp } from "../counters.ts";
import { monotonic } from "../meter.ts";

/** One reading. */
export interface Reading {
  /** ms of CLOCK_MONOTONIC. */
  time: number;
  /** Bytes at layer 3 that the limit has passed; null while there is no limit. */
  limit: number | null;
  /** Bytes that the receiver's IP has received. */
  received: number;
}

const EVERY_MS = 20;

/** Counters of packets by ECN bits. They count each wire packet that a merged packet stands for. */
const WIRE = ["NoECTPkts", "ECT1Pkts", "ECT0Pkts", "CEPkts"];

/**
 * Bytes that a namespace's IP has received, both families. IP counts the headers of a merged packet once: `headers` bytes are
 * added for each further wire packet (of IP and transport).
 */
export function receivedBytes(netns: string, headers = 0): number {
  const texts = inNamespace(netns, () =>
    ["netstat", "snmp", "snmp6"].map((name) => readFileSync(`/proc/thread-self/net/${name}`, "utf8")),
  );
  const all = new Map(texts.flatMap((text) => [...parseSnmp(text)]));
  const count = (name: string): number => all.get(name) ?? 0;
  const merged = (wire: string, taken: string): number =>
    WIRE.reduce((sum, name) => sum + count(`${wire}${name}`), -count(taken));
  const missing = merged("IpExtIn", "IpInReceives") + merged("Ip6In", "Ip6InReceives");
  return count("IpExtInOctets") + count("Ip6InOctets") + missing * headers;
}

/** Reads the counters of a namespace and of a limit repeatedly until it is stopped. */
export class Watch {
  readonly readings: Reading[] = [];
  readonly #netns: string;
  readonly #headers: number;
  readonly #limit: () => number | null;
  #ended = false;
  readonly #running: Promise<void>;

  /** @param limit reads the bytes that the limit has passed @param headers bytes of a packet's headers, as in `receivedBytes` */
  constructor(netns: string, limit: () => number | null = () => null, headers = 0) {
    this.#netns = netns;
    this.#headers = headers;
    this.#limit = limit;
    this.#running = this.#run();
    this.#running.catch(() => {}); // `stop` rethrows it
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const limit = this.#limit();
      this.readings.push({ time: monotonic(), limit, received: receivedBytes(this.#netns, this.#headers) });
      await sleep(EVERY_MS);
    }
  }

  async stop(): Promise<readonly Reading[]> {
    this.#ended = true;
    await this.#running;
    return this.readings;
  }
}

/** Time of a load's first arrival, ms: iperf3 counts its seconds from there. */
export function firstArrival(readings: readonly Reading[]): number {
  const first = readings[0];
  const begun = readings.find(({ received }) => received > (first?.received ?? 0) + 10_000);
  return begun?.time ?? first?.time ?? 0;
}

/** A span of time, ms. */
export interface Times {
  start: number;
  end: number;
}

/**
 * Mean rate in bit/s over spans of time, from the readings nearest to their ends.
 * @returns undefined if there are no two readings in any, or no limit at one
 */
export function rateIn(
  readings: readonly Reading[],
  what: "limit" | "received",
  spans: readonly Times[],
): number | undefined {
  let bytes = 0;
  let ms = 0;
  for (const { start, end } of spans) {
    const within = readings.filter(({ time }) => time >= start - EVERY_MS / 2 && time <= end + EVERY_MS / 2);
    const [first, last] = [within[0], within.at(-1)];
    const [a, b] = [first?.[what], last?.[what]];
    if (!first || !last || first === last || typeof a !== "number" || typeof b !== "number") continue;
    bytes += b - a;
    ms += last.time - first.time;
  }
  return ms > 0 ? (8000 * bytes) / ms : undefined;
}

/** The longest time in a span in which nothing was received, ms. */
export function longestGap(readings: readonly Reading[], { start, end }: Times): number {
  let longest = 0;
  let since: Reading | undefined;
  for (const reading of readings) {
    if (reading.time < start || reading.time > end) continue;
    since ??= reading;
    longest = Math.max(longest, reading.time - since.time);
    if (reading.received > since.received) since = reading;
  }
  return longest;
}

/** The parts of a span that no other span covers, in order. */
export function without(span: Times, others: readonly Times[]): Times[] {
  let left = [span];
  for (const { start, end } of others) {
    left = left.flatMap((one) =>
      [
        { start: one.start, end: Math.min(one.end, start) },
        { start: Math.max(one.start, end), end: one.end },
      ].filter((rest) => rest.end > rest.start),
    );
  }
  return left;
}
