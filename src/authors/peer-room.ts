import { Collection, type Readable } from "../store/collection.ts";

/**
 * The most rows that the peers of all Impairments of a node take, half of `weir_impair_peers`: each of a rule's networks
 * is a row for each pod and direction. The other half is for rules of a few networks, which are not counted.
 */
export const PEER_ROWS = 131_072;
/** A rule of as many networks is not counted. */
export const FEW_NETWORKS = 16;

/**
 * The Impairments whose peers find no room, by key. Those that need fewest rows come first, so that one that needs very
 * many costs itself before others.
 */
export class PeerRoom extends Collection<true> {
  readonly #demands: Readable<number>;
  #total = 0;
  #isStale = false;

  /** @param demands how many rows each Impairment needs */
  constructor(name: string, place: number, demands: Readable<number>) {
    super(name, { place });
    this.#demands = demands;
    demands.watch(({ before = 0, after = 0 }) => {
      this.#total += after - before;
      this.#isStale = true;
    });
  }

  settle(): number {
    if (!this.#isStale) return 0;
    this.#isStale = false;
    const refused = this.#total <= PEER_ROWS ? new Set<string>() : this.#refused();
    for (const key of this.keys()) if (!refused.has(key)) this.put(key, undefined);
    for (const key of refused) this.put(key, true);
    return 1;
  }

  #refused(): Set<string> {
    const all = [...this.#demands.rows()].sort(([a, one], [b, other]) => one - other || (a < b ? -1 : 1));
    const refused = new Set<string>();
    let taken = 0;
    for (const [key, rows] of all) {
      taken += rows;
      if (taken > PEER_ROWS) refused.add(key);
    }
    return refused;
  }
}
