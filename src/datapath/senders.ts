import type { Change, PodLink, Shaper } from "../model/document.ts";
import { ANY_SEGMENTS } from "../model/shape.ts";
import { Backoff } from "./backoff.ts";
import { outcomeOf } from "./fault.ts";
import type { Links } from "./links.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";
import { shapeOf } from "./shaper-classes.ts";

/**
 * Limits the segments that pods' sockets put into one GSO packet. With a short round trip TCP builds 64 kB packets even
 * for a pod with 10 Mbit/s, and keeps two per flow in the queue. With packets of about a millisecond at the pod's rate,
 * TCP's back-pressure keeps the queue at a few packets without loss. At high rates small packets would cost too much
 * CPU. Open connections follow a changed limit.
 */
export class Senders {
  /** Number of devices changed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #network: Network;
  readonly #links: Links;
  readonly #outcomes: Outcomes;
  /** Shapers of what a pod sends, by host-side device and instance. */
  readonly #shapers = new Map<string, Map<string, Shaper>>();
  readonly #senderOf = new Map<string, string>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** The segments that the kernel has, by host-side device, for the device with this index. */
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

  /** Sets devices again that were created or replaced. */
  follow(devices: Iterable<string>): void {
    for (const device of devices) this.#due.add(device);
  }

  tryAgain(): void {
    for (const device of this.#failed) this.#due.add(device);
  }

  /** Sets each pod's device as its shaper needs it, or to the kernel's default without one. */
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
    if (held === undefined) return; // the pod renamed its device; its packets are segmented in the queue
    if (held !== segments) {
      this.#network.setSegments(link, segments);
      this.writes++;
    }
    this.#held.set(device, { ifindex, segments });
  }
}
