import { createHash } from "node:crypto";
import { addressAt, type Cidr, indexIn, parseCidr, sizeOf } from "./addresses.ts";
import type { Endpoint } from "./cluster.ts";

/** The gateway has index 1; 0 is the network's own. */
const FIRST = 2n;

/** Addresses of one node's pods. Throws on a CIDR that is none. Pure but for its own memory of what is taken. */
export class AddressPool {
  readonly #cidrs: readonly Cidr[];
  readonly #taken = new Set<bigint>();
  #next = FIRST;

  constructor(podCIDRs: readonly string[]) {
    this.#cidrs = podCIDRs.map((text) => {
      const cidr = parseCidr(text);
      if (!cidr.ok) throw new Error(`read pod CIDR: ${cidr.reason}`);
      return cidr.value;
    });
  }

  /** How many pods fit: the smallest network decides. */
  get capacity(): bigint {
    const sizes = this.#cidrs.map((cidr) => sizeOf(cidr) - FIRST - (cidr.family === 4 ? 1n : 0n)); // IPv4: broadcast
    const [smallest = 0n] = sizes.toSorted((a, b) => Number(a - b));
    return smallest;
  }

  /** Notes addresses as taken, e.g. those of pods found at start. */
  take(ips: readonly string[]): void {
    for (const index of this.#indexes(ips)) {
      this.#taken.add(index);
      if (index >= this.#next) this.#next = index + 1n;
    }
  }

  release(ips: readonly string[]): void {
    for (const index of this.#indexes(ips)) this.#taken.delete(index);
  }

  /**
   * An address of each family, with the same index in both. Round robin: a released one is given again as late as
   * possible, since others may still send to it. Throws when none is free.
   */
  allocate(): string[] {
    const { capacity } = this;
    for (let step = 0n; step <= BigInt(this.#taken.size) && step < capacity; step++) {
      const index = FIRST + ((this.#next - FIRST + step) % capacity);
      if (this.#taken.has(index)) continue;
      this.#taken.add(index);
      this.#next = index + 1n;
      return this.#cidrs.map((cidr) => addressAt(cidr, index));
    }
    throw new Error(`allocate address: all ${capacity} of the node's pod CIDRs are taken`);
  }

  #indexes(ips: readonly string[]): bigint[] {
    return ips.flatMap((ip) => this.#cidrs.flatMap((cidr) => indexIn(cidr, ip) ?? []));
  }
}

/**
 * Host-side device and MAC of a pod's link. They differ for a pod of the same name with another uid, and for a pod
 * whose network namespace was made anew: a device cannot follow it there.
 */
export function podDevice(pod: Pick<Endpoint, "namespace" | "name" | "uid" | "netns" | "ifname">): {
  device: string;
  mac: string;
} {
  const { namespace, name, uid, netns, ifname } = pod;
  const hash = createHash("sha256")
    .update(JSON.stringify([namespace, name, uid, netns, ifname]))
    .digest("hex");
  const pairs = hash.slice(16, 26).match(/../g) ?? [];
  return { device: `weir${hash.slice(0, 11)}`, mac: ["02", ...pairs].join(":") }; // 02: locally administered
}
