import type { PodChoice } from "../model/rule-objects.ts";
import { selectsLabels } from "../model/selector.ts";
import type { View } from "../store/derived.ts";
import type { Selected } from "../store/selected.ts";
import type { Source, Store } from "../store/store.ts";
import type { Cluster, ServiceRow } from "./cluster.ts";
import { emptyChoice, type LabelledPod, type RuleRow } from "./rule-rows.ts";

/** Which pods the selectors of Services, Limits and Impairments match. */
export class Selections {
  /** The pods of each Service. A Service without a selector has none. */
  readonly services: Selected<ServiceRow, LabelledPod>;
  readonly #cluster: Cluster;

  constructor(store: Store, cluster: Cluster) {
    this.#cluster = cluster;
    this.services = store.select<ServiceRow, LabelledPod>("pods of services", {
      selectors: cluster.services,
      rows: cluster.labelledPods,
      selects: ({ selector }, { labels }) =>
        Object.keys(selector).length > 0 && selectsLabels({ matchLabels: selector }, labels),
      ...inOneNamespace,
    });
  }

  /** Declares which pods the objects of one kind select. An object that selects no pod gets a problem. */
  follow<S extends Choice>(
    store: Store,
    kind: "Limit" | "Impairment",
    objects: Source<RuleRow<S>>,
  ): ObjectSelections<S> {
    const selected = store.select<RuleRow<S>, LabelledPod>(`pods of ${kind}s`, {
      selectors: objects,
      rows: this.#cluster.labelledPods,
      selects: ({ spec }, { labels }) => spec.selector !== undefined && selectsLabels(spec.selector, labels),
      ...inOneNamespace,
    });
    const chosen = { objects, selected };
    store.derive(`reach of ${kind}s`, [objects], (key, view) => {
      const ruleRow = view.row(objects, key);
      if (!ruleRow || isOver(ruleRow.spec, view)) return undefined;
      const reaches = this.#reaches(key, ruleRow, chosen, view);
      if (!reaches) view.tell(emptyChoice(kind, ruleRow, this.#hasService(ruleRow, view)));
      return reaches;
    });
    return chosen;
  }

  /** Keys of the objects that select a pod: by its name, by its labels, or through a Service. */
  choosing<S extends Choice>(pod: string, { objects, selected }: ObjectSelections<S>, view: View): string[] {
    const services = view.selectorsOf(this.services, pod);
    return [
      ...view.keys(objects, "pod", pod),
      ...view.selectorsOf(selected, pod),
      ...services.flatMap((service) => view.keys(objects, "service", service)),
    ];
  }

  /** How many of this node's pods an object selects. */
  localCount<S extends Choice>(key: string, { objects, selected }: ObjectSelections<S>, view: View): number {
    const { namespace, spec } = view.row(objects, key) as RuleRow<S>;
    const { localPods } = this.#cluster;
    if (spec.pod !== undefined) return view.row(localPods, `${namespace}/${spec.pod}`) === undefined ? 0 : 1;
    const local = new Set(view.keys(localPods));
    const chosen = spec.selector
      ? view.selected(selected, key)
      : view.selected(this.services, `${namespace}/${spec.service}`);
    return chosen.filter((pod) => local.has(pod)).length;
  }

  /** Whether the object selects a pod that exists or is attached. */
  #reaches<S extends Choice>(key: string, ruleRow: RuleRow<S>, { selected }: ObjectSelections<S>, view: View): boolean {
    const { namespace, spec } = ruleRow;
    const { labelledPods, attachments } = this.#cluster;
    if (spec.pod !== undefined) {
      const pod = `${namespace}/${spec.pod}`;
      return view.row(labelledPods, pod) !== undefined || view.row(attachments, pod) !== undefined;
    }
    if (spec.selector) return view.selectsSome(selected, key);
    return this.#hasService(ruleRow, view) && view.selectsSome(this.services, `${namespace}/${spec.service}`);
  }

  #hasService({ namespace, spec }: RuleRow<PodChoice>, view: View): boolean {
    return spec.service !== undefined && view.row(this.#cluster.services, `${namespace}/${spec.service}`) !== undefined;
  }
}

type Choice = PodChoice & { until?: string | undefined };

/** Objects of one kind, and the pods that their label selectors match. */
export interface ObjectSelections<S extends PodChoice> {
  objects: Source<RuleRow<S>>;
  selected: Selected<RuleRow<S>, LabelledPod>;
}

const inOneNamespace = {
  within: ({ namespace }: { namespace: string }) => namespace,
  groupOf: ({ namespace }: LabelledPod) => namespace,
};

const isOver = ({ until }: Choice, view: View): boolean => until !== undefined && view.isPast(Date.parse(until));
