import { createHash } from "node:crypto";
import { addressAt, type Cidr, indexIn, parseCidr, sizeOf } from "./addresses.ts";
import type { PodAttachment } from "./node-context.ts";

/** The gateway has index 1; 0 is the network's own. */
const FIRST = 2n;

/** Released addresses that are kept back; of a larger network's, older ones are given again in turn. */
const KEPT_BACK = 1024;

/** Addresses of one node's pods. Throws on a CIDR that is none. Pure but for its own memory of what is taken. */
export class AddressPool {
  readonly #cidrs: readonly Cidr[];
  readonly #taken = new Set<bigint>();
  /** In the order of their release. */
  #released = new Set<bigint>();
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
      this.#released.delete(index);
      if (index >= this.#next) this.#next = index + 1n;
    }
  }

  /** Frees addresses. Others may still send to them: they are given again when no other is left, the longest free first. */
  release(ips: readonly string[]): void {
    for (const index of new Set(this.#indexes(ips))) if (this.#taken.delete(index)) this.#keepBack(index);
  }

  /** One address of each pod that was released, the longest free first: for `keepBack` after a restart. */
  get released(): string[] {
    const [cidr] = this.#cidrs;
    return cidr ? [...this.#released].map((index) => addressAt(cidr, index)) : [];
  }

  /** Notes addresses as released before, in this order. Those that are taken, or are of other networks, stay as they are. */
  keepBack(ips: readonly string[]): void {
    for (const index of this.#indexes(ips)) if (!this.#taken.has(index)) this.#keepBack(index);
  }

  #keepBack(index: bigint): void {
    if (index < FIRST || index >= FIRST + this.capacity) return; // never a pod's
    this.#released.delete(index);
    this.#released.add(index);
    const surplus = this.#released.size - KEPT_BACK;
    if (surplus > 0) this.#released = new Set([...this.#released].slice(surplus));
  }

  /** An address of each family, with the same index in both. Throws when none is free. */
  allocate(): string[] {
    const index = this.#fresh() ?? [...this.#released][0];
    if (index === undefined) {
      throw new Error(`allocate address: all ${this.capacity} of the node's pod CIDRs are taken`);
    }
    this.#taken.add(index);
    this.#released.delete(index);
    this.#next = index + 1n;
    return this.#cidrs.map((cidr) => addressAt(cidr, index));
  }

  /** The next that is neither taken nor kept back. */
  #fresh(): bigint | undefined {
    const { capacity } = this;
    const most = BigInt(this.#taken.size + this.#released.size);
    for (let step = 0n; step <= most && step < capacity; step++) {
      const index = FIRST + ((this.#next - FIRST + step) % capacity);
      if (!this.#taken.has(index) && !this.#released.has(index)) return index;
    }
    return undefined;
  }

  #indexes(ips: readonly string[]): bigint[] {
    return ips.flatMap((ip) => this.#cidrs.flatMap((cidr) => indexIn(cidr, ip) ?? []));
  }
}

/**
 * Host-side device and MAC of a pod's link. They differ for a pod of the same name with another uid, and for a pod
 * whose network namespace was made anew: a device cannot follow it there.
 */
export function podDevice(pod: Pick<PodAttachment, "namespace" | "name" | "uid" | "netns" | "ifname">): {
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
