import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { addresses, isNamespace, isOwnNamespace, links, namespaceNumber } from "../kernel/index.ts";
import type { Tap } from "../model/cluster.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { Pod, Problem } from "../model/objects.ts";

/** Where namespaces are found. */
export interface NamespacePlaces {
  /** Names of bound namespaces, e.g. `/run/netns`. */
  bound: readonly string[];
  proc: string;
}
const PLACES: NamespacePlaces = { bound: ["/run/netns", "/run/podman/netns"], proc: "/proc" };

/** A host-side device, and what the namespace behind it has for addresses. */
interface Found {
  netns: string;
  inode: bigint;
  device: string;
  ifindex: number;
}

/**
 * Finds the devices of pods whose network is another's: by the addresses in their status, which whoever made the network
 * gave them. It looks into the network namespaces of this machine for those addresses, and takes the other end of the
 * veth that has them, if it is in the node's own.
 */
export class TapFinder {
  readonly #places: NamespacePlaces;
  readonly #known = new Map<string, { tap: Tap; found: Found }>();
  #isMissing = false;

  constructor(places: NamespacePlaces = PLACES) {
    this.#places = places;
  }

  /** Taps of a node's pods, sorted, and of those without one why. A tap stays the same object while its device lives. */
  find(node: string, pods: readonly Pod[]): { taps: Tap[]; problems: Problem[] } {
    const wanted = new Map(
      pods.filter((pod) => isTapped(node, pod)).map((pod) => [podKey(pod.metadata), pod] as const),
    );
    this.#forgetGone(wanted);
    const missing = [...wanted].filter(([key]) => !this.#known.has(key));
    const byAddress = missing.length > 0 ? this.#scan() : new Map<string, Found[]>();
    const problems = missing.flatMap(([key, pod]) => this.#settle(key, pod, byAddress));
    this.#isMissing = problems.length > 0;
    const taps = [...this.#known.values()].map(({ tap }) => tap);
    return { taps: taps.toSorted((a, b) => (a.device < b.device ? -1 : 1)), problems };
  }

  /** Would a search give something else? Pods without a device are looked for again. */
  get isStale(): boolean {
    if (this.#isMissing) return true;
    if (this.#known.size === 0) return false;
    const present = new Map(links().map(({ ifindex, name }) => [ifindex, name]));
    return [...this.#known.values()].some(({ found }) => present.get(found.ifindex) !== found.device);
  }

  #forgetGone(wanted: ReadonlyMap<string, Pod>): void {
    if (this.#known.size === 0) return;
    const present = new Map(links().map(({ ifindex, name }) => [ifindex, name]));
    for (const [key, { tap, found }] of this.#known) {
      const ips = wanted.get(key)?.ips;
      const isSame = ips !== undefined && ips.join() === tap.ips.join();
      if (!isSame || present.get(found.ifindex) !== found.device) this.#known.delete(key);
    }
  }

  /** Two namespaces may claim an address; a pod must not choose whose rules it gets. */
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
    const message = `its rules are not enforced: ${fault}`;
    return [{ object: objectKey("Pod", metadata), path: "status.podIPs", message, severity: "warning" }];
  }

  /** Host-side devices by the addresses behind them. */
  #scan(): Map<string, Found[]> {
    const own = new Map(links().map((link) => [link.ifindex, link]));
    const byAddress = new Map<string, Found[]>();
    for (const [inode, netns] of this.#namespaces()) {
      try {
        const number = namespaceNumber(netns);
        const ends = new Map(links(netns).map((link) => [link.ifindex, own.get(link.peerIfindex ?? 0)]));
        for (const { cidr, ifindex, linkLocal } of addresses(netns)) {
          const host = ends.get(ifindex);
          const isPeer = host?.peerIfindex === ifindex && host.peerNetnsId !== undefined && host.peerNetnsId === number;
          if (!host || !isPeer || linkLocal) continue;
          const ip = cidr.slice(0, cidr.indexOf("/"));
          const found = { netns, inode, device: host.name, ifindex: host.ifindex };
          byAddress.set(ip, [...(byAddress.get(ip) ?? []), found]);
        }
      } catch {
        // it went while we looked: what it had is nobody's
      }
    }
    return byAddress;
  }

  /** Paths of the machine's other network namespaces by inode. */
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

/** A process may end as we look, and one with more capabilities than ours hides its namespaces (CAP_SYS_PTRACE). */
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
