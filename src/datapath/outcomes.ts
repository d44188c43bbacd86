import type { Outcome } from "../model/outcomes.ts";

/** What is not in force, or not as good as it should be: at most one outcome for each item, found by owner. */
export class Outcomes {
  /** Whose failures are that are nobody else's: the node's. */
  readonly node: string;
  /** Grows with every change. */
  revision = 0;
  readonly #byItem = new Map<string, Outcome>();
  readonly #byOwner = new Map<string, Map<string, Outcome>>();

  constructor(node = "Node") {
    this.node = node;
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

  /** Owners of whom there is one. */
  owners(): IterableIterator<string> {
    return this.#byOwner.keys();
  }

  /** `item`: its kind and name. Without an outcome it is in force. */
  set(item: string, outcome: Outcome | undefined): void {
    const known = this.#byItem.get(item);
    if (known === undefined && outcome === undefined) return;
    if (known && outcome && isSame(known, outcome)) return;
    this.revision++;
    if (known) this.#forget(item, known.owner);
    if (!outcome) return;
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
