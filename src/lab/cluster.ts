import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import type { ManifestObject, Node, Pod, Problem } from "../model/objects.ts";
import { type BindingPlan, bindPods } from "./binding.ts";
import type { Kubelet } from "./kubelet.ts";
import { keyOf, nodeManifest, podManifest } from "./manifest.ts";
import { isNamespaceName, isPodName, type LabNames, type NodeNames } from "./names.ts";
import { ObjectStore } from "./objects.ts";
import type { BoundPod } from "./pod.ts";
import { writeAtomically } from "./record.ts";

/** The lab's nodes as Kubernetes would show them. */
export function nodeObject(node: NodeNames): Node {
  return {
    kind: "Node",
    metadata: {
      name: node.name,
      labels: { "kubernetes.io/hostname": node.name },
      annotations: {},
      resourceVersion: "1",
    },
    addresses: node.addresses.map((address) => address.slice(0, address.indexOf("/"))),
    podCIDRs: node.podCIDRs,
  };
}

/** Turns workloads into pods: a controller manager in one pure step. `problems`: what could not be expanded. */
export type Expand = (
  objects: readonly ManifestObject[],
  nodes: readonly Node[],
) => { pods: readonly Pod[]; problems: readonly Problem[] };

export interface ClusterOptions {
  lab: LabNames;
  nodes: readonly NodeNames[];
  kubelet: Kubelet;
  expand: Expand;
}

/** API server, controllers and scheduler of a lab: objects in; bound pods out, as files for agents and as work for the kubelet. */
export class Cluster {
  readonly store = new ObjectStore();
  readonly #options: ClusterOptions;
  readonly #nodes: readonly Node[];
  #bound: ReadonlyMap<string, BoundPod> = new Map();
  #problems: readonly Problem[] = [];
  #version = 1;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#nodes = options.nodes.map(nodeObject);
    mkdirSync(options.lab.cluster, { recursive: true, mode: 0o755 });
    for (const node of this.#nodes) {
      writeAtomically(`${options.lab.cluster}/node-${node.metadata.name}.yaml`, nodeManifest(node));
    }
  }

  get bound(): ReadonlyMap<string, BoundPod> {
    return this.#bound;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Brings pods, files and kubelet in line with the objects of now. Synchronous: the plan is made and handed out whole. */
  reconcile(): BindingPlan {
    const { pods, problems } = this.#options.expand(this.store.all, this.#nodes);
    const good = pods.filter((pod) => isPodName(pod.metadata.name) && isNamespaceName(pod.metadata.namespace));
    const plan = bindPods({
      bound: this.#bound,
      wanted: good,
      nodes: this.#nodes,
      newUid: randomUUID,
      newVersion: () => String(++this.#version),
    });
    this.#problems = [
      ...problems,
      ...pods.filter((pod) => !good.includes(pod)).map((pod) => badName(pod)),
      ...plan.unbound.map(({ pod, reason }) => ({ object: `Pod/${keyOf(pod)}`, message: `not started: ${reason}` })),
    ];
    this.#bound = plan.bound;
    for (const one of plan.removed) rmSync(this.#file(one), { force: true });
    for (const one of [...plan.created, ...plan.updated]) writeAtomically(this.#file(one), podManifest(one));
    const { kubelet } = this.#options;
    for (const one of plan.removed) kubelet.remove(one);
    for (const one of plan.updated) kubelet.update(one);
    for (const one of plan.created) kubelet.create(one);
    return plan;
  }

  #file(one: BoundPod): string {
    return `${this.#options.lab.cluster}/pod-${one.uid}.yaml`;
  }
}

function badName(pod: Pod): Problem {
  return { object: `Pod/${keyOf(pod)}`, path: "metadata.name", message: "not started: no valid name" };
}
