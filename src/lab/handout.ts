import { mkdirSync, rmSync } from "node:fs";
import type { Ended, Namespace, Node, RuleObject } from "../model/objects.ts";
import { writeAtomically } from "../sources/atomic.ts";
import type { BindingPlan } from "./binding.ts";
import type { Kubelet } from "./kubelet.ts";
import { clusterManifest, podManifest } from "./manifest.ts";
import type { LabNames } from "./names.ts";
import type { BoundPod } from "./pod-host.ts";

/** What of the kubelet a source of objects needs. */
export type PodRunner = Pick<Kubelet, "create" | "update" | "remove" | "worker">;

/** Hands plans to agents, as files, and to the kubelet, as work. */
export class Handout {
  readonly #lab: LabNames;
  readonly #nodes: readonly Node[];
  readonly #kubelet: PodRunner;
  readonly #ips = new Map<string, readonly string[]>();
  readonly #ended = new Map<string, Ended>();

  /** Tells the agents of all nodes, before any of them starts. */
  constructor(lab: LabNames, nodes: readonly Node[], kubelet: PodRunner) {
    this.#lab = lab;
    this.#nodes = nodes;
    this.#kubelet = kubelet;
    mkdirSync(lab.cluster, { recursive: true, mode: 0o755 });
  }

  /** Nodes, and what is said of pods' traffic. */
  rules(rules: readonly (RuleObject | Namespace)[], version: string): void {
    writeAtomically(`${this.#lab.cluster}/cluster.yaml`, clusterManifest(this.#nodes, rules, version));
  }

  /** `remove` may do more about a pod that goes. */
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

  /** A pod has been given its addresses, or has ended without any: others' rules may be about them. */
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
