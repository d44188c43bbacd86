import type { PodChoice } from "../model/rule-objects.ts";
import { selectsLabels } from "../model/selector.ts";
import type { View } from "../store/derived.ts";
import type { Selected } from "../store/selected.ts";
import type { Source, Store } from "../store/store.ts";
import type { Cluster, ServiceRow } from "./cluster.ts";
import { emptyChoice, type Selectable, type Words } from "./words.ts";

/** Which pods are meant by the selectors of Services, Limits and Impairments. */
export class Selections {
  /** Pods of a Service; without a selector none. */
  readonly services: Selected<ServiceRow, Selectable>;
  readonly #cluster: Cluster;

  constructor(store: Store, cluster: Cluster) {
    this.#cluster = cluster;
    this.services = store.select<ServiceRow, Selectable>("pods of services", {
      selectors: cluster.services,
      rows: cluster.selectables,
      selects: ({ selector }, { labels }) =>
        Object.keys(selector).length > 0 && selectsLabels({ matchLabels: selector }, labels),
      ...inOneNamespace,
    });
  }

  /** Follows whom the objects of one kind choose; one that chooses nobody is told. */
  follow<S extends Choice>(store: Store, kind: "Limit" | "Impairment", objects: Source<Words<S>>): Chosen<S> {
    const selected = store.select<Words<S>, Selectable>(`pods of ${kind}s`, {
      selectors: objects,
      rows: this.#cluster.selectables,
      selects: ({ spec }, { labels }) => spec.selector !== undefined && selectsLabels(spec.selector, labels),
      ...inOneNamespace,
    });
    const chosen = { objects, selected };
    store.derive(`reach of ${kind}s`, [objects], (key, view) => {
      const words = view.row(objects, key);
      if (!words || isOver(words.spec, view)) return undefined;
      const reaches = this.#reaches(key, words, chosen, view);
      if (!reaches) view.tell(emptyChoice(kind, words, this.#hasService(words, view)));
      return reaches;
    });
    return chosen;
  }

  /** Keys of the objects that choose a pod: by its name, its labels, or a Service. */
  choosing<S extends Choice>(pod: string, { objects, selected }: Chosen<S>, view: View): string[] {
    const services = view.selectorsOf(this.services, pod);
    return [
      ...view.keys(objects, "pod", pod),
      ...view.selectorsOf(selected, pod),
      ...services.flatMap((service) => view.keys(objects, "service", service)),
    ];
  }

  /** Is any pod chosen that has an object or a network? */
  #reaches<S extends Choice>(key: string, words: Words<S>, { selected }: Chosen<S>, view: View): boolean {
    const { namespace, spec } = words;
    const { selectables, attachments } = this.#cluster;
    if (spec.pod !== undefined) {
      const pod = `${namespace}/${spec.pod}`;
      return view.row(selectables, pod) !== undefined || view.row(attachments, pod) !== undefined;
    }
    if (spec.selector) return view.selectsSome(selected, key);
    return this.#hasService(words, view) && view.selectsSome(this.services, `${namespace}/${spec.service}`);
  }

  #hasService({ namespace, spec }: Words<PodChoice>, view: View): boolean {
    return spec.service !== undefined && view.row(this.#cluster.services, `${namespace}/${spec.service}`) !== undefined;
  }
}

type Choice = PodChoice & { until?: string | undefined };

/** Objects of one kind, and the pods that their selectors select. */
export interface Chosen<S extends PodChoice> {
  objects: Source<Words<S>>;
  selected: Selected<Words<S>, Selectable>;
}

const inOneNamespace = {
  within: ({ namespace }: { namespace: string }) => namespace,
  groupOf: ({ namespace }: Selectable) => namespace,
};

const isOver = ({ until }: Choice, view: View): boolean => until !== undefined && view.isPast(Date.parse(until));
