import type { Outcome } from "../model/outcomes.ts";
import type { Outcomes } from "./outcomes.ts";

/**
 * Faults of the rows of one map. Of each owner only the first is told: an owner of ten thousand rows that do not fit is
 * one outcome, and not ten thousand that every pass and every reader would have to go through.
 */
export class RowFaults {
  readonly #table: string;
  readonly #outcomes: Outcomes;
  readonly #byOwner = new Map<string, Map<string, Outcome>>();
  readonly #owners = new Map<string, string>();

  constructor(table: string, outcomes: Outcomes) {
    this.#table = table;
    this.#outcomes = outcomes;
  }

  /** Sets or clears a row's fault. @param id of the row */
  set(id: string, fault: Outcome | undefined): void {
    const before = this.#owners.get(id);
    if (before !== undefined && before !== fault?.owner) {
      this.#byOwner.get(before)?.delete(id);
      this.#owners.delete(id);
      this.#tell(before);
    }
    if (!fault) return;
    const own = this.#byOwner.get(fault.owner) ?? new Map<string, Outcome>();
    this.#byOwner.set(fault.owner, own.set(id, fault));
    this.#owners.set(id, fault.owner);
    this.#tell(fault.owner);
  }

  #tell(owner: string): void {
    const own = this.#byOwner.get(owner);
    const [first] = own?.values() ?? [];
    if (own?.size === 0) this.#byOwner.delete(owner);
    this.#outcomes.set(`rows ${this.#table} ${owner}`, first);
  }
}
