import { createHash } from "node:crypto";
import { addressAt, type Cidr, indexIn, parseCidr, sizeOf } from "./addresses.ts";
import type { PodAttachment } from "./node-context.ts";

/** Index 1 is the gateway, 0 the network address. */
const FIRST = 2n;

/** The number of released addresses that are kept back; older ones of a large network are reused in turn. */
const KEPT_BACK = 1024;

/** Allocates addresses of one node's pods. @throws Error on an invalid CIDR */
export class AddressPool {
  readonly #cidrs: readonly Cidr[];
  readonly #taken = new Set<bigint>();
  /** Released indexes, in order of their release. */
  #released = new Set<bigint>();
  #next = FIRST;

  constructor(podCIDRs: readonly string[]) {
    this.#cidrs = podCIDRs.map((text) => {
      const cidr = parseCidr(text);
      if (!cidr.ok) throw new Error(`read pod CIDR: ${cidr.reason}`);
      return cidr.value;
    });
  }

  /** The number of pods that fit into the smallest network. */
  get capacity(): bigint {
    const sizes = this.#cidrs.map((cidr) => sizeOf(cidr) - FIRST - (cidr.family === 4 ? 1n : 0n)); // IPv4: broadcast
    const [smallest = 0n] = sizes.toSorted((a, b) => Number(a - b));
    return smallest;
  }

  /** Marks addresses as used, e.g. those of pods found at the start. */
  take(ips: readonly string[]): void {
    for (const index of this.#indexes(ips)) {
      this.#taken.add(index);
      this.#released.delete(index);
      if (index >= this.#next) this.#next = index + 1n;
    }
  }

  /**
   * Frees addresses. They are reused as late as possible, the longest free first, since others may still send to them.
   */
  release(ips: readonly string[]): void {
    for (const index of new Set(this.#indexes(ips))) if (this.#taken.delete(index)) this.#keepBack(index);
  }

  /** An address of each released pod, the longest free first: for `keepBack` after a restart. */
  get released(): string[] {
    const [cidr] = this.#cidrs;
    return cidr ? [...this.#released].map((index) => addressAt(cidr, index)) : [];
  }

  /** Marks addresses as released earlier, in this order. Ignores those in use or of other networks. */
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

  /** Allocates an address of each family with the same index. @throws Error if none is free */
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

  /** The next index that is neither used nor kept back. */
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
 * Host-side device and MAC address of a pod's link. They change with uid and network namespace: a device cannot be
 * moved to a new namespace.
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
