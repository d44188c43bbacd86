import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../kernel/index.ts";
import { octets } from "../alternate.ts";
import { monotonic } from "../meter.ts";
import type { Bed, Direction } from "./bed.ts";

/** One reading. */
export interface Reading {
  /** ms of CLOCK_MONOTONIC. */
  time: number;
  /** Bytes at layer 3 that the limit has let through; null while there is none. */
  limit: number | null;
  /** Bytes that the receiver's IP has taken in; of merged packets the headers count once. */
  received: number;
}

const EVERY_MS = 20;

/** Bytes that a namespace's IP has taken in. */
export function receivedBytes(netns: string): number {
  return octets(inNamespace(netns, () => readFileSync("/proc/thread-self/net/netstat", "utf8")));
}

/** Reads a limit's counter and its receiver's, again and again, until it is stopped. */
export class Watch {
  readonly readings: Reading[] = [];
  readonly #bed: Bed;
  readonly #direction: Direction;
  readonly #netns: string;
  #ended = false;
  readonly #running: Promise<void>;

  constructor(bed: Bed, direction: Direction, netns: string) {
    this.#bed = bed;
    this.#direction = direction;
    this.#netns = netns;
    this.#running = this.#run();
    this.#running.catch(() => {}); // who stops it is told
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const limit = this.#bed.use(this.#direction)?.bytes ?? null;
      this.readings.push({ time: monotonic(), limit, received: receivedBytes(this.#netns) });
      await sleep(EVERY_MS);
    }
  }

  async stop(): Promise<readonly Reading[]> {
    this.#ended = true;
    await this.#running;
    return this.readings;
  }
}

/** A span of time, ms. */
export interface Times {
  start: number;
  end: number;
}

/**
 * Mean rate in bit/s over spans of time, by the readings nearest to their ends.
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

/** What is left of a span without others, in order. */
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
