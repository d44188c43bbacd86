import { addRoute, findLink, removeRoute, setLink, writeSysctl } from "../kernel/index.ts";
import type { DesiredState, PodLink } from "../model/desired.ts";
import { familyOf } from "../model/ip.ts";
import { ANY_SEGMENTS } from "../model/shape.ts";
import type { Failure } from "./failure.ts";
import { shapeOf } from "./shapers.ts";

/**
 * How many segments pods' own sockets put into one packet. A pod that may send 10 Mbit/s builds packets of 64 kB all
 * the same, since its round trips are short, and keeps two of them in the queue for each flow; with packets of a
 * millisecond of the rate, TCP's own back-pressure keeps the queue at a few packets and nothing is ever lost. Above, small
 * packets would cost TCP more than the processor has: connections that are open follow too.
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

  #set(link: PodLink, ifindex: number, segments: number): void {
    const { ifname, netns } = link;
    const held = this.#held.get(ifindex) ?? findLink(ifname, netns)?.gsoMaxSegs;
    if (held === undefined) return; // the pod renamed it: its own loss, since what it sends is split in the queue
    if (held !== segments) {
      setLink(ifname, { gsoMaxSegs: segments }, netns);
      forgetRoutes(link);
      this.writes++;
    }
    this.#held.set(ifindex, segments);
  }
}

/** A route that nobody has: the discard-only prefix of RFC 6666. */
const NOBODY = "100::/128";

/**
 * An open connection keeps what the device allowed when it found its route. Has all of a namespace find theirs again: the
 * kernel forgets IPv4's on demand, and IPv6's when a route comes.
 */
function forgetRoutes({ ifname, netns, ips }: PodLink): void {
  writeSysctl("net/ipv4/route/flush", -1, netns);
  const isUp = findLink(ifname, netns)?.up === true; // no route can lead to a device that is down
  const hasIpv6 = ips.some((ip) => familyOf(ip) === 6);
  if (!isUp || !hasIpv6) return;
  addRoute({ cidr: NOBODY, device: ifname }, netns);
  removeRoute({ cidr: NOBODY, device: ifname }, netns);
}
