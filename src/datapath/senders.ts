import type { Change, PodLink, Shaper } from "../model/document.ts";
import { ANY_SEGMENTS } from "../model/shape.ts";
import { Backoff } from "./backoff.ts";
import { outcomeOf } from "./fault.ts";
import type { Links } from "./links.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";
import { shapeOf } from "./shaper-classes.ts";

/**
 * How many segments pods' own sockets put into one packet. A pod that may send 10 Mbit/s builds packets of 64 kB all
 * the same, since its round trips are short, and keeps two of them in the queue for each flow; with packets of a
 * millisecond of the rate, TCP's own back-pressure keeps the queue at a few packets and nothing is ever lost. Above, small
 * packets would cost TCP more than the processor has: connections that are open follow too.
 */
export class Senders {
  /** Devices changed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #network: Network;
  readonly #links: Links;
  readonly #outcomes: Outcomes;
  /** By host-side device: the shaper of what its pod sends, by instance. */
  readonly #shapers = new Map<string, Map<string, Shaper>>();
  readonly #senderOf = new Map<string, string>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** Segments by host-side device, as the kernel holds them; of the device of this index. */
  readonly #held = new Map<string, { ifindex: number; segments: number }>();

  constructor(network: Network, links: Links, outcomes: Outcomes, now: () => number) {
    this.#network = network;
    this.#links = links;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
  }

  get waiting(): number {
    return this.#failed.size;
  }

  take({ item, gone }: Change<Shaper>): void {
    const before = this.#senderOf.get(item.instance);
    if (before !== undefined) this.#remove(before, item.instance);
    if (gone || item.sender === undefined) return;
    this.#senderOf.set(item.instance, item.sender);
    const own = this.#shapers.get(item.sender) ?? new Map<string, Shaper>();
    this.#shapers.set(item.sender, own.set(item.instance, item));
    this.#due.add(item.sender);
  }

  #remove(device: string, instance: string): void {
    this.#senderOf.delete(instance);
    const own = this.#shapers.get(device);
    own?.delete(instance);
    if (own?.size === 0) this.#shapers.delete(device);
    this.#due.add(device);
  }

  /** These devices are new or other ones. */
  follow(devices: Iterable<string>): void {
    for (const device of devices) this.#due.add(device);
  }

  tryAgain(): void {
    for (const device of this.#failed) this.#due.add(device);
  }

  /** Sets every pod's device as its shaper wants it; without one, as the kernel made it. */
  ensure(ifindexOf: (device: string) => number | undefined): void {
    let isNew = false;
    for (const device of this.#due) {
      this.#due.delete(device);
      const wanted = this.#links.get(device);
      const ifindex = wanted?.item.kind === "pod" ? ifindexOf(device) : undefined;
      if (!wanted || ifindex === undefined) {
        this.#held.delete(device);
        this.#settle(device);
        continue;
      }
      try {
        this.#set(wanted.item as PodLink, ifindex);
        this.#settle(device);
      } catch (error) {
        isNew = isNew || !this.#failed.has(device);
        this.#failed.add(device);
        this.#outcomes.set(`sender ${device}`, outcomeOf(wanted.owner, error));
      }
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  #settle(device: string): void {
    this.#failed.delete(device);
    this.#outcomes.set(`sender ${device}`, undefined);
  }

  #set(link: PodLink, ifindex: number): void {
    const { device } = link;
    const [shaper] = this.#shapers.get(device)?.values() ?? [];
    const segments = shaper ? shapeOf(shaper).senderSegments : ANY_SEGMENTS;
    const known = this.#held.get(device);
    const held = known?.ifindex === ifindex ? known.segments : this.#network.segments(link);
    if (held === undefined) return; // the pod renamed it: its own loss, since what it sends is split in the queue
    if (held !== segments) {
      this.#network.setSegments(link, segments);
      this.writes++;
    }
    this.#held.set(device, { ifindex, segments });
  }
}
