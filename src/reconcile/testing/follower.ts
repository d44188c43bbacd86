import type { Delta } from "../../model/document.ts";
import { sameValue } from "../../model/same.ts";
import { KINDS } from "../kinds.ts";

/** Rebuilds the document from its changes alone. */
export class Follower {
  readonly items = new Map<string, unknown>();

  /** @throws Error if a change changes nothing */
  follow(delta: Delta): void {
    for (const [kind, changes] of Object.entries(delta) as [keyof Delta, Delta["rows"]][]) {
      for (const { owner, item, gone } of changes) {
        const id = `${kind} ${(KINDS[kind] as { idOf(item: unknown): string }).idOf(item)}`;
        const now = gone ? undefined : { owner, item };
        if (sameValue(this.items.get(id), now)) throw new Error(`follow ${id}: the change equals what is there`);
        if (now) this.items.set(id, now);
        else this.items.delete(id);
      }
    }
  }

  sorted(): unknown[] {
    return [...this.items].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
