import { mkdirSync, rmSync } from "node:fs";
import type { Ended, Namespace, Node, RuleObject } from "../model/objects.ts";
import { writeAtomically } from "../sources/atomic.ts";
import type { BindingPlan } from "./binding.ts";
import type { Kubelet } from "./kubelet.ts";
import { clusterManifest, podManifest } from "./manifest.ts";
import type { LabNames } from "./names.ts";
import type { BoundPod } from "./pod-host.ts";

/** The methods of the kubelet that a source of objects uses. */
export type PodRunner = Pick<Kubelet, "create" | "update" | "remove" | "worker">;

/** Passes plans to the agents, as files, and to the kubelet, as work. */
export class Handout {
  readonly #lab: LabNames;
  readonly #nodes: readonly Node[];
  readonly #kubelet: PodRunner;
  readonly #ips = new Map<string, readonly string[]>();
  readonly #ended = new Map<string, Ended>();

  /** Writes the node objects for the agents of all nodes, before any of them starts. */
  constructor(lab: LabNames, nodes: readonly Node[], kubelet: PodRunner) {
    this.#lab = lab;
    this.#nodes = nodes;
    this.#kubelet = kubelet;
    mkdirSync(lab.cluster, { recursive: true, mode: 0o755 });
  }

  /** Writes the nodes and the rules. */
  rules(rules: readonly (RuleObject | Namespace)[], version: string): void {
    writeAtomically(`${this.#lab.cluster}/cluster.yaml`, clusterManifest(this.#nodes, rules, version));
  }

  /** Passes on a plan. `remove` may do more for a removed pod. */
  pods(plan: BindingPlan, remove = (one: BoundPod): void => void this.#kubelet.remove(one)): void {
    for (const one of plan.removed) {
      rmSync(this.#file(one), { force: true });
      this.#ips.delete(one.uid);
      this.#ended.delete(one.uid);
    }
    for (const one of [...plan.created, ...plan.updated]) this.#write(one);
    for (const one of plan.removed) remove(one);
    for (const one of plan.updated) this.#kubelet.update(one);
    for (const one of plan.created) this.#kubelet.create(one);
  }

  /** Called when a pod has got its addresses, or has ended without any: rules of other pods may refer to them. */
  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void {
    this.#ips.set(bound.uid, ips);
    if (ended) this.#ended.set(bound.uid, ended);
    this.#write(bound);
  }

  #write(one: BoundPod): void {
    writeAtomically(this.#file(one), podManifest(one, this.#ips.get(one.uid), this.#ended.get(one.uid)));
  }

  #file(one: BoundPod): string {
    return `${this.#lab.cluster}/pod-${one.uid}.yaml`;
  }
}
