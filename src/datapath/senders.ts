import { findLink, setLink, writeSysctl } from "../kernel/index.ts";
import type { DesiredState, PodLink } from "../model/desired.ts";
import { ANY_SEGMENTS } from "../model/shape.ts";
import type { Failure } from "./failure.ts";
import { shapeOf } from "./shapers.ts";

/**
 * How many segments pods' own sockets put into one packet. A pod that may send 10 Mbit/s builds packets of 64 kB all
 * the same, since its round trips are short, and keeps two of them in the queue for each flow; with packets of a
 * millisecond of the rate, TCP's own back-pressure keeps the queue at a few packets and nothing is ever lost.
 */
export class Senders {
  /** Devices changed so far. */
  writes = 0;
  /** Segments by host-side ifindex, as the kernel holds them. */
  readonly #held = new Map<number, number>();

  /** Sets every pod's device as its shaper wants it; without one, as the kernel made it. */
  ensure({ links, shapers }: DesiredState, ifindexOf: (device: string) => number | undefined): Failure[] {
    const wanted = new Map(shapers.map((shaper) => [shaper.sender, shapeOf(shaper).senderSegments]));
    const failures: Failure[] = [];
    const seen = new Set<number>();
    for (const link of links) {
      const ifindex = link.kind === "pod" ? ifindexOf(link.device) : undefined;
      if (ifindex === undefined) continue;
      seen.add(ifindex);
      try {
        this.#set(link as PodLink, ifindex, wanted.get(link.device) ?? ANY_SEGMENTS);
      } catch (error) {
        failures.push({ object: `sender ${link.device}`, message: (error as Error).message });
      }
    }
    for (const ifindex of this.#held.keys()) if (!seen.has(ifindex)) this.#held.delete(ifindex);
    return failures;
  }

  #set({ ifname, netns }: PodLink, ifindex: number, segments: number): void {
    const held = this.#held.get(ifindex) ?? findLink(ifname, netns)?.gsoMaxSegs;
    if (held === undefined) return; // the pod renamed it: its own loss, since what it sends is split in the queue
    if (held !== segments) {
      setLink(ifname, { gsoMaxSegs: segments }, netns);
      // a connection keeps what its route allowed when it was made, until it has to look for its route again
      writeSysctl("net/ipv4/route/flush", -1, netns);
      this.writes++;
    }
    this.#held.set(ifindex, segments);
  }
}
