import type { Change, Fragment } from "../model/document.ts";
import { sameValue } from "../model/same.ts";

/** One fragment as a contender for its items. The smaller `order` wins; of one order, the smaller `key`. */
export interface Claim {
  /** Author and key, from `claimOf`. It is the owner id of the fragment's items. */
  id: string;
  order: number;
  key: string;
  fragment: Fragment;
}

/** How to enumerate and identify the items of one kind in fragments. */
export interface Kind<T> {
  name: keyof Fragment;
  itemsOf(fragment: Fragment): Iterable<T>;
  /** Unique within a document. */
  idOf(item: T): string;
}

/** An item with its owner. */
export interface Held<T> {
  /** `id` of the claim. */
  owner: string;
  item: T;
}

/** Two claims to the same item. */
export interface Conflict {
  id: string;
  winner: Claim;
  loser: Claim;
}

/**
 * Decides which fragment provides each item of one kind. Where several fragments have the same item, the first by order
 * and key wins; when it goes, the next one wins. Only a reference to the claim is stored for each item, and the item is
 * looked up in its fragment, so that a large document needs little memory.
 */
export class Contest<T> {
  readonly #kind: Kind<T>;
  readonly #same: (one: T, other: T) => boolean;
  readonly #claims = new Map<string, Claim | Claim[]>();
  /** Ids that more than one fragment has. */
  readonly #contested = new Set<string>();
  /** Items that changed since the last `take`: as they were then, and as they are now. */
  readonly #changed = new Map<string, { before: Held<T> | undefined; after: Held<T> | undefined }>();

  /** @param same items for which it returns true are equal, and replacing one by the other is not a change */
  constructor(kind: Kind<T>, same: (one: T, other: T) => boolean = sameValue) {
    this.#kind = kind;
    this.#same = same;
  }

  get size(): number {
    return this.#claims.size;
  }

  get(id: string): Held<T> | undefined {
    const claim = this.#winner(id);
    return claim && this.#find(claim, id);
  }

  has(id: string): boolean {
    return this.#claims.has(id);
  }

  ids(): IterableIterator<string> {
    return this.#claims.keys();
  }

  /** All items of the document, in no particular order. */
  *all(): Generator<Held<T>> {
    const seen = new Set<Claim>();
    for (const claims of this.#claims.values()) {
      const claim = first(claims);
      if (seen.has(claim)) continue;
      seen.add(claim);
      for (const [id, item] of this.#items(claim.fragment)) {
        if (this.#winner(id) === claim) yield { owner: claim.id, item };
      }
    }
  }

  /** Replaces a claim's fragment; `undefined` means that there was, or is, none. */
  replace(claim: Claim, before: Fragment | undefined, after: Fragment | undefined): void {
    const was: ReadonlyMap<string, T> = before ? this.#items(before) : NOTHING;
    const is: ReadonlyMap<string, T> = after ? this.#items(after) : NOTHING;
    for (const [id, item] of was) if (!is.has(id)) this.#leave(id, claim, item);
    for (const [id, item] of is) {
      const old = was.get(id);
      if (old === undefined) this.#enter(id, claim, item);
      else if (this.#winner(id) === claim && !this.#same(old, item)) this.#note(id, claim, old, claim, item);
    }
  }

  /** The changes since the last call. */
  take(): Change<T>[] {
    const changes: Change<T>[] = [];
    for (const { before, after } of this.#changed.values()) {
      if (after && before && after.owner === before.owner && this.#same(after.item, before.item)) continue;
      if (after) changes.push({ ...after, gone: false });
      else if (before) changes.push({ ...before, gone: true });
    }
    this.#changed.clear();
    return changes;
  }

  conflicts(): Conflict[] {
    return [...this.#contested].flatMap((id) => {
      const [winner, ...losers] = this.#claims.get(id) as Claim[];
      if (!winner) return [];
      return losers.map((loser) => ({ id, winner, loser }));
    });
  }

  #winner(id: string): Claim | undefined {
    const claims = this.#claims.get(id);
    return claims && first(claims);
  }

  /** Records that an item has passed from claim `had` to claim `has`; `undefined` means no claim. */
  #note(id: string, had: Claim | undefined, old: T | undefined, has: Claim | undefined, item: T | undefined): void {
    const held = (claim: Claim | undefined, one: T | undefined) =>
      claim && one !== undefined ? { owner: claim.id, item: one } : undefined;
    const known = this.#changed.get(id);
    if (known) known.after = held(has, item);
    else this.#changed.set(id, { before: held(had, old), after: held(has, item) });
  }

  #enter(id: string, claim: Claim, item: T): void {
    const known = this.#claims.get(id);
    if (known === undefined) {
      this.#claims.set(id, claim);
      this.#note(id, undefined, undefined, claim, item);
      return;
    }
    const winner = first(known);
    const claims = [...(Array.isArray(known) ? known : [known]), claim].sort(byPlace);
    if (claims[0] === claim) this.#note(id, winner, this.#find(winner, id)?.item, claim, item);
    this.#claims.set(id, claims);
    this.#contested.add(id);
  }

  #leave(id: string, claim: Claim, item: T): void {
    const known = this.#claims.get(id);
    const claims = Array.isArray(known) ? known : known ? [known] : [];
    const [next, ...others] = claims.filter((one) => one !== claim);
    if (claims[0] === claim) this.#note(id, claim, item, next, next && this.#find(next, id)?.item);
    if (others.length === 0) this.#contested.delete(id);
    if (!next) this.#claims.delete(id);
    else this.#claims.set(id, others.length > 0 ? [next, ...others] : next);
  }

  /** Items by id. If a fragment has two items with the same id, the first counts. */
  #items(fragment: Fragment): Map<string, T> {
    const items = new Map<string, T>();
    for (const item of this.#kind.itemsOf(fragment)) {
      const id = this.#kind.idOf(item);
      if (!items.has(id)) items.set(id, item);
    }
    return items;
  }

  #find(claim: Claim, id: string): Held<T> | undefined {
    for (const item of this.#kind.itemsOf(claim.fragment)) {
      if (this.#kind.idOf(item) === id) return { owner: claim.id, item };
    }
    return undefined;
  }
}

const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();

const first = (claims: Claim | Claim[]): Claim => (Array.isArray(claims) ? (claims[0] as Claim) : claims);

const byPlace = (a: Claim, b: Claim): number => a.order - b.order || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
