import { memo } from "../model/memo.ts";
import type { Pod } from "../model/objects.ts";
import { type LabelSelector, selectsLabels } from "../model/selector.ts";

const textOf = memo((labels: Readonly<Record<string, string>>): string => JSON.stringify(labels));

/** The pods of a namespace as selectors see them. Most passes find other annotations, and hardly any other labels. */
export class Group {
  readonly #labels: readonly Readonly<Record<string, string>>[];
  readonly #texts: readonly string[];
  readonly #found = new WeakMap<LabelSelector, readonly number[]>();

  constructor(pods: readonly Pod[]) {
    this.#labels = pods.map(({ metadata }) => metadata.labels);
    this.#texts = this.#labels.map(textOf);
  }

  isOf(pods: readonly Pod[]): boolean {
    const texts = this.#texts;
    return (
      pods.length === texts.length && pods.every(({ metadata }, index) => textOf(metadata.labels) === texts[index])
    );
  }

  /** Indices of the pods that it means. */
  select(selector: LabelSelector): readonly number[] {
    const known = this.#found.get(selector);
    if (known) return known;
    const found = this.#labels.flatMap((labels, index) => (selectsLabels(selector, labels) ? [index] : []));
    this.#found.set(selector, found);
    return found;
  }
}

let lastGroups: ReadonlyMap<string, Group> = new Map();
/** Those of the last time where they are the same. */
export function groupsOf(byNamespace: ReadonlyMap<string, readonly Pod[]>): ReadonlyMap<string, Group> {
  const groups = [...byNamespace].map(([namespace, pods]) => {
    const before = lastGroups.get(namespace);
    return [namespace, before?.isOf(pods) ? before : new Group(pods)] as const;
  });
  lastGroups = new Map(groups);
  return lastGroups;
}
