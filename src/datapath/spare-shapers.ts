import type { Shape } from "../model/shape.ts";
import type { Name } from "./names.ts";
import type { Classes } from "./shaper-classes.ts";

/**
 * The most limits whose classes stay after the limit was removed. To create or remove a class the kernel walks all
 * classes of the device, some 10,000 with 500 limits, under the lock that all changes of the network take. To change a
 * class it does not.
 */
export const MOST_SPARES = 64;

/** Shapers of removed limits: nothing is queued in their classes, which the next limits take over. */
export class SpareShapers {
  /** The oldest first. */
  readonly #names = new Map<number, Name>();

  get isFull(): boolean {
    return this.#names.size >= MOST_SPARES;
  }

  get oldest(): Name | undefined {
    return this.#names.values().next().value;
  }

  has(id: number): boolean {
    return this.#names.has(id);
  }

  add(name: Name): void {
    this.#names.set(name.id, name);
  }

  /** Returns false if it was none. */
  delete(id: number): boolean {
    return this.#names.delete(id);
  }

  /** Those whose classes are not there. */
  without(held: ReadonlyMap<number, unknown>): Name[] {
    return [...this.#names.values()].filter(({ id }) => !held.has(id));
  }

  /** One that has all leaves of a shape; undefined: none has. */
  find({ set, leaves, leaf }: Shape, held: ReadonlyMap<number, Classes>): Name | undefined {
    const hasAll = ({ id }: Name): boolean => {
      const own = held.get(id);
      const made = own?.leaves.get(set.place) ?? 0;
      return made >= leaves && (own?.quanta.get(set.place) ?? 0) >= leaf.quantum;
    };
    return [...this.#names.values()].find(hasAll);
  }
}
