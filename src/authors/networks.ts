import { type Cidr, overlap, sizeOf } from "../model/addresses.ts";

/** A network with its owner. */
export interface NetworkClaim {
  /** `Node/name`. */
  owner: string;
  cidr: Cidr;
}

/** Non-overlapping networks, sorted by first address. */
export class Networks {
  readonly #sorted = { 4: [] as NetworkClaim[], 6: [] as NetworkClaim[] };

  /** Adds a network. The caller has checked that it overlaps none. */
  add(claim: NetworkClaim): void {
    const list = this.#sorted[claim.cidr.family];
    list.splice(this.#place(claim.cidr), 0, claim);
  }

  /** Removes this owner's network. Does nothing if it is missing or has another owner now. */
  remove({ owner, cidr }: NetworkClaim): void {
    const list = this.#sorted[cidr.family];
    const at = this.#place(cidr) - 1;
    const found = list[at];
    if (found?.owner !== owner || found.cidr.base !== cidr.base || found.cidr.prefix !== cidr.prefix) return;
    list.splice(at, 1);
  }

  /** The networks that overlap this one, sorted. */
  overlapping(cidr: Cidr): NetworkClaim[] {
    const list = this.#sorted[cidr.family];
    const found: NetworkClaim[] = [];
    const end = cidr.base + sizeOf(cidr);
    for (let at = Math.max(0, this.#place(cidr) - 1); at < list.length; at++) {
      const one = list[at] as NetworkClaim;
      if (one.cidr.base >= end) break;
      if (overlap(one.cidr, cidr)) found.push(one);
    }
    return found;
  }

  /** The number of networks that begin at or before this one's first address. */
  #place({ family, base }: Cidr): number {
    const list = this.#sorted[family];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as NetworkClaim).cidr.base <= base) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
