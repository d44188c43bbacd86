import type { Pod } from "../model/objects.ts";
import type { Source } from "../store/store.ts";

/**
 * The addresses of all pods that have one. A pod that is being deleted has only those that no other pod has: its network
 * may be gone long before its object, and its addresses in use by another pod.
 */
export class PodAddresses {
  readonly #rows: Source<readonly string[]>;
  readonly #podOf: (key: string) => Pod | undefined;
  /** The number of pods that have an address and are not being deleted. */
  readonly #holders = new Map<string, number>();
  /** Keys of pods that are being deleted, by address. */
  readonly #leaving = new Map<string, Set<string>>();

  constructor(rows: Source<readonly string[]>, podOf: (key: string) => Pod | undefined) {
    this.#rows = rows;
    this.#podOf = podOf;
  }

  /** Takes in a pod that has changed. `podOf` returns its new state already. */
  change(key: string, before: Pod | undefined, after: Pod | undefined): void {
    const [had, has] = [heldBy(before), heldBy(after)];
    for (const ip of had) this.#count(ip, -1);
    for (const ip of has) this.#count(ip, 1);
    for (const ip of isLeaving(before) ? (before?.ips ?? []) : []) this.#forget(ip, key);
    for (const ip of isLeaving(after) ? (after?.ips ?? []) : []) {
      this.#leaving.set(ip, (this.#leaving.get(ip) ?? new Set()).add(key));
    }
    this.#write(key);
    for (const ip of [...had, ...has]) for (const other of this.#leaving.get(ip) ?? []) this.#write(other);
  }

  #write(key: string): void {
    const pod = this.#podOf(key);
    const ips = isLeaving(pod) ? pod?.ips?.filter((ip) => !this.#holders.has(ip)) : pod?.ips;
    if (ips) this.#rows.set(key, ips);
    else this.#rows.delete(key);
  }

  #count(ip: string, more: number): void {
    const count = (this.#holders.get(ip) ?? 0) + more;
    if (count > 0) this.#holders.set(ip, count);
    else this.#holders.delete(ip);
  }

  #forget(ip: string, key: string): void {
    const keys = this.#leaving.get(ip);
    keys?.delete(key);
    if (keys?.size === 0) this.#leaving.delete(ip);
  }
}

/** Pods with their node's network share its addresses. */
const isLeaving = (pod: Pod | undefined): boolean => pod?.isLeaving === true && !pod.hostNetwork;

const heldBy = (pod: Pod | undefined): readonly string[] =>
  pod && !pod.isLeaving && !pod.hostNetwork ? (pod.ips ?? []) : [];
