import { isDeepStrictEqual } from "node:util";
import { podKey } from "../model/names.ts";
import type { ManifestObject, Pod } from "../model/objects.ts";
import type { Bindings } from "../model/workloads/index.ts";
import type { BoundPod } from "./pod-host.ts";

/** The steps from the pods that are bound now to the wanted ones. */
export interface BindingPlan {
  bound: ReadonlyMap<string, BoundPod>;
  /** New pods, and pods that replace another of the same name. */
  created: readonly BoundPod[];
  /** The same pod with other labels or annotations. */
  updated: readonly BoundPod[];
  removed: readonly BoundPod[];
  /** Version of the Services, Limits and Impairments that agents must put in force, if they changed. */
  rules?: string | undefined;
}

/**
 * Compares bound pods with the wanted ones, each of which has a node and a uid. With the same uid, a pod is changed in
 * place. With another uid it is recreated: a container's spec cannot change while it runs.
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

/** The current node of each pod. */
export function bindingsOf(bound: ReadonlyMap<string, BoundPod>): Bindings {
  return new Map([...bound].map(([key, one]) => [key, one.node]));
}

/** Key of the pod's workload; of the pod itself if it has none. */
export function ownerKey({ owner = "", metadata }: Pod): string {
  return owner.replace("/", `/${metadata.namespace}/`);
}

/** Drops uids and addresses from manifests: the lab assigns both, and uids become parts of paths. */
export function withoutUids(objects: readonly ManifestObject[]): ManifestObject[] {
  return objects.map((object) =>
    object.kind === "Pod" ? { ...object, ips: undefined, metadata: { ...object.metadata, uid: undefined } } : object,
  );
}
