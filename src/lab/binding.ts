import { isDeepStrictEqual } from "node:util";
import { podKey } from "../model/names.ts";
import type { ManifestObject, Pod } from "../model/objects.ts";
import type { Bindings } from "../model/workloads/index.ts";
import type { BoundPod } from "./pod-host.ts";

/** What is to be done to come from the bound pods of now to the wanted ones. */
export interface BindingPlan {
  bound: ReadonlyMap<string, BoundPod>;
  /** Pods that are new, and those that another pod of the same name had to make room for. */
  created: readonly BoundPod[];
  /** Same pod, other labels or annotations. */
  updated: readonly BoundPod[];
  removed: readonly BoundPod[];
  /** Version of the Services, Limits and Impairments that agents must have put in force, if these changed. */
  rules?: string | undefined;
}

/**
 * Compares bound pods with the wanted ones, each of which has a node and a uid. Same uid: the same pod, changed in place.
 * Another uid: what a container runs cannot change under it, so the pod is made anew.
 */
export function planPods(
  before: ReadonlyMap<string, BoundPod>,
  wanted: readonly Pod[],
  newVersion: (pod: Pod) => string,
): BindingPlan {
  const bound = new Map<string, BoundPod>();
  const created: BoundPod[] = [];
  const updated: BoundPod[] = [];
  for (const pod of wanted) {
    const key = podKey(pod.metadata);
    const { nodeName: node = "" } = pod;
    const { uid = "" } = pod.metadata;
    const known = before.get(key);
    if (known?.uid === uid && known.node === node) {
      const same = isDeepStrictEqual(known.pod, pod);
      const one = same ? known : { ...known, pod, resourceVersion: newVersion(pod) };
      if (!same) updated.push(one);
      bound.set(key, one);
      continue;
    }
    const one = { pod, uid, node, resourceVersion: newVersion(pod) };
    created.push(one);
    bound.set(key, one);
  }
  const stays = ([key, one]: [string, BoundPod]): boolean => {
    const now = bound.get(key);
    return now?.uid === one.uid && now.node === one.node;
  };
  const removed = [...before].filter((entry) => !stays(entry)).map(([, one]) => one);
  return { bound, created, updated, removed };
}

/** Where pods are now: they stay there. */
export function bindingsOf(bound: ReadonlyMap<string, BoundPod>): Bindings {
  return new Map([...bound].map(([key, one]) => [key, one.node]));
}

/** Key of the workload that a pod belongs to; of nothing if it is its own. */
export function ownerKey({ owner = "", metadata }: Pod): string {
  return owner.replace("/", `/${metadata.namespace}/`);
}

/** uids become parts of paths and tell pods apart, addresses are given: what an author wrote of them does not count. */
export function withoutUids(objects: readonly ManifestObject[]): ManifestObject[] {
  return objects.map((object) =>
    object.kind === "Pod" ? { ...object, ips: undefined, metadata: { ...object.metadata, uid: undefined } } : object,
  );
}
