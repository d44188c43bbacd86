import { isDeepStrictEqual } from "node:util";
import type { Node, Pod } from "../model/objects.ts";
import { keyOf } from "./manifest.ts";
import type { BoundPod } from "./pod.ts";

/** What is to be done to come from the bound pods of now to the wanted ones. */
export interface BindingPlan {
  bound: ReadonlyMap<string, BoundPod>;
  /** Pods that are new, and those that another pod of the same name had to make room for. */
  created: readonly BoundPod[];
  /** Same pod, other labels or annotations. */
  updated: readonly BoundPod[];
  removed: readonly BoundPod[];
  /** Pods that no node takes, and why. */
  unbound: readonly { pod: Pod; reason: string }[];
}

export interface BindingInput {
  bound: ReadonlyMap<string, BoundPod>;
  wanted: readonly Pod[];
  nodes: readonly Node[];
  newUid: () => string;
  newVersion: () => string;
}

/**
 * Binds pods to nodes. A named node is honoured; the others go to the node with the fewest pods, first by name, that
 * has the labels they ask for; a pod stays where it is. What a container runs cannot change under it: then the pod is
 * made anew. Pure but for the two generators.
 */
export function bindPods(input: BindingInput): BindingPlan {
  const bound = new Map<string, BoundPod>();
  const created: BoundPod[] = [];
  const updated: BoundPod[] = [];
  const unbound: { pod: Pod; reason: string }[] = [];
  const wanted = new Map(input.wanted.map((pod) => [keyOf(pod), pod]));
  const load = new Map(input.nodes.map((node) => [node.metadata.name, 0]));
  const place = (one: BoundPod): void => {
    bound.set(keyOf(one.pod), one);
    load.set(one.node, (load.get(one.node) ?? 0) + 1);
  };
  const fresh: Pod[] = [];
  for (const [key, pod] of wanted) {
    const before = input.bound.get(key);
    if (before === undefined || !samePod(before, pod)) fresh.push(pod);
    else if (isDeepStrictEqual(before.pod.metadata, pod.metadata)) place(before);
    else {
      const after = { ...before, pod, resourceVersion: input.newVersion() };
      updated.push(after);
      place(after);
    }
  }
  for (const pod of [...fresh].sort((a, b) => Number(b.nodeName !== undefined) - Number(a.nodeName !== undefined))) {
    const node = chooseNode(pod, input.nodes, load);
    if (typeof node !== "string") {
      unbound.push({ pod, reason: node.reason });
      continue;
    }
    const one = { pod, node, uid: input.newUid(), resourceVersion: input.newVersion() };
    created.push(one);
    place(one);
  }
  const removed = [...input.bound].filter(([key, one]) => bound.get(key)?.uid !== one.uid).map(([, one]) => one);
  return { bound, created, updated, removed, unbound };
}

function samePod(before: BoundPod, pod: Pod): boolean {
  if (pod.nodeName !== undefined && pod.nodeName !== before.node) return false;
  const spec = ({ containers, hostNetwork, restartPolicy }: Pod): unknown => ({
    containers,
    hostNetwork,
    restartPolicy,
  });
  return isDeepStrictEqual(spec(before.pod), spec(pod));
}

function chooseNode(pod: Pod, nodes: readonly Node[], load: ReadonlyMap<string, number>): string | { reason: string } {
  const names = nodes.map((node) => node.metadata.name);
  if (pod.nodeName !== undefined) {
    if (names.includes(pod.nodeName)) return pod.nodeName;
    return { reason: `spec.nodeName is ${JSON.stringify(pod.nodeName)}, but the lab's nodes are ${names.join(", ")}` };
  }
  const selector = Object.entries(pod.nodeSelector ?? {});
  const fitting = nodes.filter((node) => selector.every(([key, value]) => node.metadata.labels[key] === value));
  const [best] = [...fitting].sort((a, b) => (load.get(a.metadata.name) ?? 0) - (load.get(b.metadata.name) ?? 0));
  return best?.metadata.name ?? { reason: "no node has the labels of spec.nodeSelector" };
}
