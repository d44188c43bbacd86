import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../kernel/index.ts";
import { type Counters, fromSnmp } from "../counters.ts";
import { monotonic } from "../meter.ts";
import { type Bed, MTU } from "./bed.ts";
import type { Change } from "./change.ts";
import type { Glimpse } from "./glimpse.ts";

const EVERY_MS = 50;
const NONE = { value: null, packets: 0, hits: 0, delayed: 0, waited: 0, enforced: true };

/** Reads a rule's receipt and the sender's counters repeatedly until it is stopped. */
export class Receipts {
  readonly #bed: Bed;
  readonly #change: Change;
  readonly #glimpses: Glimpse[] = [];
  #ended = false;
  readonly #running: Promise<void>;

  constructor(bed: Bed, change: Change) {
    this.#bed = bed;
    this.#change = change;
    this.#running = this.#run();
    this.#running.catch(() => {}); // `stop` rethrows it
  }

  async #run(): Promise<void> {
    const { direction, where } = this.#change;
    const { from } = this.#bed.path(direction, where);
    while (!this.#ended) {
      const seen = await glimpse(this.#bed, this.#change);
      this.#glimpses.push({ time: monotonic(), ...seen, offered: MTU * countersOf(from).udpOut });
      await sleep(EVERY_MS);
    }
  }

  async stop(): Promise<readonly Glimpse[]> {
    this.#ended = true;
    await this.#running;
    return this.#glimpses;
  }
}

async function glimpse(bed: Bed, { rule, direction }: Change): Promise<Omit<Glimpse, "time" | "offered">> {
  if (rule === "loss" || rule === "delay") {
    const [receipt] = await bed.receipts("impairments", direction);
    if (!receipt) return NONE;
    const { effects, packets, lost, delayed, meanDelay, state } = receipt;
    const loss = effects.loss?.model === "uniform" ? effects.loss.probability : null;
    const value = rule === "loss" ? loss : (effects.delay?.base ?? 0) / 1e9;
    return { value, packets, hits: lost, delayed, waited: delayed * (meanDelay ?? 0), enforced: state === "active" };
  }
  const [receipt] = await bed.receipts("programs", direction);
  if (!receipt) return NONE;
  const value = Number(/ -D\w+=(\d+)/.exec(receipt.effective ?? "")?.[1] ?? Number.NaN);
  const { packets, dropped: hits } = receipt;
  return { ...NONE, value, packets, hits };
}

/** A namespace's own counters. */
export const countersOf = (netns: string): Counters =>
  fromSnmp(
    inNamespace(netns, () =>
      ["snmp", "snmp6", "netstat"].map((name) => readFileSync(`/proc/thread-self/net/${name}`, "utf8")).join(""),
    ),
  );
