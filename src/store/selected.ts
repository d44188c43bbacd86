import type { Readable } from "./collection.ts";
import { type Key, type KeySet, KeySets } from "./slot.ts";

export interface SelectedOptions<S, R> {
  selectors: Readable<S>;
  rows: Readable<R>;
  /** Only called for rows in the selector's group. */
  selects(selector: S, row: R): boolean;
  /** The group that a selector is limited to, e.g. its namespace; undefined: rows of every group. */
  within(selector: S): string | undefined;
  groupOf(row: R): string;
}

/**
 * Which rows each selector matches, updated incrementally. A changed row is tested against the selectors of its group;
 * a changed selector is tested against the rows of its group.
 */
export class Selected<S, R> {
  readonly name: string;
  readonly place: number;
  readonly #options: SelectedOptions<S, R>;
  readonly #rowsBySelector = new KeySets();
  readonly #selectorsByRow = new KeySets();
  readonly #rowsByGroup = new KeySets();
  readonly #selectorsByGroup = new KeySets();
  readonly #groups = { rows: new Map<Key, string>(), selectors: new Map<Key, string>() };
  readonly #staleSelectors = new Set<Key>();
  readonly #staleRows = new Set<Key>();

  constructor(name: string, place: number, options: SelectedOptions<S, R>) {
    this.name = name;
    this.place = place;
    this.#options = options;
    const { selectors, rows } = options;
    for (const key of selectors.keys()) this.#staleSelectors.add(key);
    for (const key of rows.keys()) this.#staleRows.add(key);
    selectors.watch(({ key }) => this.#staleSelectors.add(key));
    rows.watch(({ key }) => this.#staleRows.add(key));
  }

  /** Keys of the rows that a selector matches. */
  rowSet(selector: Key): KeySet {
    return this.#rowsBySelector.of(selector);
  }

  /** Keys of the selectors that match a row. */
  selectorSet(row: Key): KeySet {
    return this.#selectorsByRow.of(row);
  }

  /** Evaluates what is stale. Returns how many selectors were tested against all rows of their group. */
  settle(): number {
    for (const key of this.#staleRows) this.#settleRow(key);
    this.#staleRows.clear();
    const stale = [...this.#staleSelectors];
    this.#staleSelectors.clear();
    for (const key of stale) this.#settleSelector(key);
    return stale.length;
  }

  #settleRow(key: Key): void {
    const { rows, groupOf } = this.#options;
    const row = rows.get(key);
    const group = row === undefined ? undefined : groupOf(row);
    move(this.#rowsByGroup, this.#groups.rows, key, group);
    for (const selector of [...(this.#selectorsByRow.get(key)?.values() ?? [])]) {
      if (!this.#selects(selector, key)) this.#unlink(selector, key);
    }
    if (group === undefined) return;
    for (const name of [group, ANY]) {
      for (const selector of this.#selectorsByGroup.get(name)?.values() ?? []) {
        if (this.#selects(selector, key)) this.#link(selector, key);
      }
    }
  }

  #settleSelector(key: Key): void {
    const { rows, selectors, within } = this.#options;
    const selector = selectors.get(key);
    const group = selector === undefined ? undefined : (within(selector) ?? ANY);
    move(this.#selectorsByGroup, this.#groups.selectors, key, group);
    for (const row of [...(this.#rowsBySelector.get(key)?.values() ?? [])]) {
      if (!this.#selects(key, row)) this.#unlink(key, row);
    }
    if (group === undefined) return;
    const candidates = group === ANY ? rows.keys() : (this.#rowsByGroup.get(group)?.values() ?? []);
    for (const row of candidates) if (this.#selects(key, row)) this.#link(key, row);
  }

  #selects(selector: Key, row: Key): boolean {
    const { selectors, rows, selects, within, groupOf } = this.#options;
    const [one, other] = [selectors.get(selector), rows.get(row)];
    if (one === undefined || other === undefined) return false;
    const group = within(one);
    return (group === undefined || group === groupOf(other)) && selects(one, other);
  }

  #link(selector: Key, row: Key): void {
    this.#rowsBySelector.add(selector, row);
    this.#selectorsByRow.add(row, selector);
  }

  #unlink(selector: Key, row: Key): void {
    this.#rowsBySelector.delete(selector, row);
    this.#selectorsByRow.delete(row, selector);
  }
}

/** The group of selectors that may match rows of any group. Not a valid namespace name. */
const ANY = "*";

function move(sets: KeySets, groups: Map<Key, string>, key: Key, group: string | undefined): void {
  const before = groups.get(key);
  if (before === group) return;
  if (before !== undefined) sets.delete(before, key);
  if (group === undefined) {
    groups.delete(key);
    return;
  }
  groups.set(key, group);
  sets.add(group, key);
}
