import { type Cidr, overlap, sizeOf } from "../model/addresses.ts";

/** A network that is somebody's. */
export interface Claim {
  /** `Node/name`. */
  owner: string;
  cidr: Cidr;
}

/** Networks of which no two overlap, sorted by their first address. */
export class Networks {
  readonly #sorted = { 4: [] as Claim[], 6: [] as Claim[] };

  /** The caller has seen that it overlaps none. */
  add(claim: Claim): void {
    const list = this.#sorted[claim.cidr.family];
    list.splice(this.#place(claim.cidr), 0, claim);
  }

  /** Removes its owner's network; one that is not there, or is another's by now, is no fault. */
  remove({ owner, cidr }: Claim): void {
    const list = this.#sorted[cidr.family];
    const at = this.#place(cidr) - 1;
    const found = list[at];
    if (found?.owner !== owner || found.cidr.base !== cidr.base || found.cidr.prefix !== cidr.prefix) return;
    list.splice(at, 1);
  }

  /** Those that share an address with this one, in order. */
  overlapping(cidr: Cidr): Claim[] {
    const list = this.#sorted[cidr.family];
    const found: Claim[] = [];
    const end = cidr.base + sizeOf(cidr);
    for (let at = Math.max(0, this.#place(cidr) - 1); at < list.length; at++) {
      const one = list[at] as Claim;
      if (one.cidr.base >= end) break;
      if (overlap(one.cidr, cidr)) found.push(one);
    }
    return found;
  }

  /** How many begin at the same address or before. */
  #place({ family, base }: Cidr): number {
    const list = this.#sorted[family];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as Claim).cidr.base <= base) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
