import type { Outcome } from "../model/outcomes.ts";

/** Outcomes of items that are not in force or degraded: at most one per item, indexed by owner. */
export class Outcomes {
  /** The owner of failures that belong to no object: the node. */
  readonly node: string;
  /** Incremented by every change. */
  revision = 0;
  readonly #byItem = new Map<string, Outcome>();
  /** When an item's outcomes of this severity began, ms of the clock. */
  readonly #since = new Map<string, number>();
  readonly #now: () => number;
  readonly #byOwner = new Map<string, Map<string, Outcome>>();

  /** @param now ms of a clock that only goes forward */
  constructor(node = "Node", now = () => performance.now()) {
    this.node = node;
    this.#now = now;
  }

  get size(): number {
    return this.#byItem.size;
  }

  of(owner: string): readonly Outcome[] {
    return [...(this.#byOwner.get(owner)?.values() ?? [])];
  }

  all(): readonly Outcome[] {
    return [...this.#byItem.values()];
  }

  /** All outcomes, each with the ms since its item has had one of this severity. */
  *aged(): Generator<{ outcome: Outcome; age: number }> {
    const now = this.#now();
    for (const [item, outcome] of this.#byItem) yield { outcome, age: now - (this.#since.get(item) ?? now) };
  }

  /** Owners with at least one outcome. */
  owners(): IterableIterator<string> {
    return this.#byOwner.keys();
  }

  /** Sets or clears an item's outcome. @param item its kind and name */
  set(item: string, outcome: Outcome | undefined): void {
    const known = this.#byItem.get(item);
    if (known === undefined && outcome === undefined) return;
    if (known && outcome && isSame(known, outcome)) return;
    this.revision++;
    if (known) this.#forget(item, known.owner);
    if (!outcome || outcome.severity !== known?.severity) this.#since.delete(item);
    if (!outcome) return;
    if (!this.#since.has(item)) this.#since.set(item, this.#now());
    this.#byItem.set(item, outcome);
    const own = this.#byOwner.get(outcome.owner);
    if (own) own.set(item, outcome);
    else this.#byOwner.set(outcome.owner, new Map([[item, outcome]]));
  }

  #forget(item: string, owner: string): void {
    this.#byItem.delete(item);
    const own = this.#byOwner.get(owner);
    own?.delete(item);
    if (own?.size === 0) this.#byOwner.delete(owner);
  }
}

const isSame = (a: Outcome, b: Outcome): boolean =>
  a.owner === b.owner && a.code === b.code && a.message === b.message && a.severity === b.severity;
