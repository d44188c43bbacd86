import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { addresses, type DeviceInfo, isNamespace, isOwnNamespace, links, namespaceNumber } from "../kernel/index.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { Tap } from "../model/node-context.ts";
import type { Pod } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";

/** Where network namespaces are looked for. */
export interface NamespacePlaces {
  /** Folders of named namespaces, e.g. `/run/netns`. */
  bound: readonly string[];
  proc: string;
}
const PLACES: NamespacePlaces = { bound: ["/run/netns", "/run/podman/netns"], proc: "/proc" };

/** A host-side device, with the addresses in the namespace behind it. */
interface Found {
  netns: string;
  inode: bigint;
  device: string;
  ifindex: number;
}

/** The last search for pods without a device. */
interface Search {
  question: string;
  /** The node's devices at that time. */
  links: string;
  problems: readonly Problem[];
  /** Delay before the same search is repeated, ms. */
  wait: number;
  /** Time of the repetition, ms. */
  until: number;
}
const NOTHING_SOUGHT: Search = { question: "", links: "", problems: [], wait: 0, until: 0 };

/** Delay before the first repetition, doubled each time, ms: a network may assign addresses late. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;

const signature = (own: readonly DeviceInfo[]): string => own.map(({ ifindex, name }) => `${ifindex} ${name}`).join();

/**
 * Finds the devices of pods in another network, by the addresses in their status. It searches this machine's network
 * namespaces for these addresses and takes the peer of the veth that has them, if it is in the node's namespace.
 */
export class TapFinder {
  readonly #places: NamespacePlaces;
  readonly #now: () => number;
  readonly #known = new Map<string, { tap: Tap; found: Found }>();
  #last: Search = NOTHING_SOUGHT;

  /** @param now monotonic clock, ms */
  constructor(places: NamespacePlaces = PLACES, now: () => number = () => performance.now()) {
    this.#places = places;
    this.#now = now;
  }

  /**
   * Returns the taps of a node's pods, sorted, and problems for pods without one. A tap keeps its identity as long as
   * its device exists.
   */
  find(node: string, pods: readonly Pod[]): { taps: Tap[]; problems: readonly Problem[] } {
    const wanted = new Map(
      pods.filter((pod) => isTapped(node, pod)).map((pod) => [podKey(pod.metadata), pod] as const),
    );
    const own = links(undefined, { counters: false });
    this.#forgetGone(wanted, own);
    const missing = [...wanted].filter(([key]) => !this.#known.has(key));
    if (missing.length === 0) this.#last = NOTHING_SOUGHT;
    else this.#search(missing, own);
    const taps = [...this.#known.values()].map(({ tap }) => tap);
    return { taps: taps.toSorted((a, b) => (a.device < b.device ? -1 : 1)), problems: this.#last.problems };
  }

  /**
   * Whether `find` would return something else. Pods without a device are looked for with back-off, and at once when
   * devices change.
   */
  get isStale(): boolean {
    const isMissing = this.#last.problems.length > 0;
    if (!isMissing && this.#known.size === 0) return false;
    const own = links(undefined, { counters: false });
    if (isMissing && (this.#now() >= this.#last.until || signature(own) !== this.#last.links)) return true;
    const present = new Map(own.map(({ ifindex, name }) => [ifindex, name]));
    return [...this.#known.values()].some(({ found }) => present.get(found.ifindex) !== found.device);
  }

  /** Searches all namespaces. Since that is expensive, the same search is only repeated with back-off. */
  #search(missing: readonly (readonly [string, Pod])[], own: readonly DeviceInfo[]): void {
    const seen = signature(own);
    const isSame = this.#last.links === seen && this.#last.question === this.#question(missing);
    if (isSame && this.#now() < this.#last.until) return;
    const byAddress = this.#scan(own);
    // the address of a pod that is being deleted may be another's already
    const last = ([, pod]: readonly [string, Pod]): number => (pod.isLeaving ? 1 : 0);
    const problems = missing
      .toSorted((a, b) => last(a) - last(b))
      .flatMap(([key, pod]) => this.#settle(key, pod, byAddress));
    const wait = isSame ? Math.min(2 * this.#last.wait, LONGEST_WAIT) : FIRST_WAIT;
    const question = this.#question(missing.filter(([key]) => !this.#known.has(key)));
    this.#last = { question, links: seen, problems, wait, until: this.#now() + wait };
  }

  /** Identifies a search: the missing pods, and the pods that have a device already. */
  #question(missing: readonly (readonly [string, Pod])[]): string {
    const sought = missing.map(([key, { ips = [] }]) => `${key} ${ips.join()}`);
    return [...sought, "", ...this.#known.keys()].join("\n");
  }

  #forgetGone(wanted: ReadonlyMap<string, Pod>, own: readonly DeviceInfo[]): void {
    if (this.#known.size === 0) return;
    const present = new Map(own.map(({ ifindex, name }) => [ifindex, name]));
    for (const [key, { tap, found }] of this.#known) {
      const ips = wanted.get(key)?.ips;
      const isSame = ips !== undefined && ips.join() === tap.ips.join();
      if (!isSame || present.get(found.ifindex) !== found.device) this.#known.delete(key);
    }
  }

  /**
   * Assigns devices to a pod. An address in two namespaces matches neither: a pod must not choose whose rules it gets.
   */
  #settle(key: string, pod: Pod, byAddress: ReadonlyMap<string, readonly Found[]>): Problem[] {
    const { ips = [], metadata } = pod;
    const found = new Map(ips.flatMap((ip) => byAddress.get(ip) ?? []).map((one) => [one.ifindex, one]));
    const [only] = found.values();
    const taken = new Map([...this.#known].map(([owner, one]) => [one.found.ifindex, owner]));
    const owner = only && taken.get(only.ifindex);
    const fault =
      found.size > 1
        ? `${found.size} devices lead to its addresses ${ips.join(", ")}`
        : owner !== undefined
          ? `the device of its addresses is ${owner}'s`
          : `no network namespace of this machine has its addresses ${ips.join(", ")} behind a veth of the node's`;
    if (only && found.size === 1 && owner === undefined) {
      const tap = { namespace: metadata.namespace, name: metadata.name, device: only.device, ips };
      this.#known.set(key, { tap, found: only });
      return [];
    }
    if (pod.isLeaving) return []; // its network is gone before its object
    const message = `its rules are not enforced: ${fault}`;
    const object = objectKey("Pod", metadata);
    return [{ object, path: "status.podIPs", message, severity: "warning", notFound: fault }];
  }

  /** Host-side devices by the addresses behind them. */
  #scan(devices: readonly DeviceInfo[]): Map<string, Found[]> {
    const own = new Map(devices.map((link) => [link.ifindex, link]));
    const byAddress = new Map<string, Found[]>();
    for (const [inode, netns] of this.#namespaces()) {
      try {
        const number = namespaceNumber(netns);
        const ends = new Map(
          links(netns, { counters: false }).map((link) => [link.ifindex, own.get(link.peerIfindex ?? 0)]),
        );
        for (const { cidr, ifindex, linkLocal } of addresses(netns)) {
          const host = ends.get(ifindex);
          const isPeer = host?.peerIfindex === ifindex && host.peerNetnsId !== undefined && host.peerNetnsId === number;
          if (!host || !isPeer || linkLocal) continue;
          const ip = cidr.slice(0, cidr.indexOf("/"));
          const found = { netns, inode, device: host.name, ifindex: host.ifindex };
          byAddress.set(ip, [...(byAddress.get(ip) ?? []), found]);
        }
      } catch {
        // the namespace was removed meanwhile
      }
    }
    return byAddress;
  }

  /** Paths of the machine's other network namespaces, by inode. */
  #namespaces(): Map<bigint, string> {
    const { bound, proc } = this.#places;
    const paths = [
      ...bound.flatMap((folder) => names(folder).map((name) => join(folder, name))),
      ...names(proc)
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => join(proc, pid, "ns/net")),
    ];
    const found = new Map<bigint, string>();
    for (const path of paths) {
      const inode = inodeOf(path);
      if (inode === undefined || found.has(inode) || !isNamespace(path) || isOwnNamespace(path)) continue;
      found.set(inode, path);
    }
    return found;
  }
}

/**
 * Undefined: the process has ended, or has more capabilities than the agent, which hides its namespaces
 * (CAP_SYS_PTRACE).
 */
function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}

function isTapped(node: string, pod: Pod): boolean {
  return pod.nodeName === node && !pod.hostNetwork && (pod.ips?.length ?? 0) > 0;
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
