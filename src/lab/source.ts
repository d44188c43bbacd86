import type { ConfigMap, Ended, ManifestObject, Pod, Secret } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { BindingPlan } from "./binding.ts";
import { LabError } from "./errors.ts";
import type { BoundPod } from "./pod-host.ts";

/** Where a lab's objects come from: manifests, or a Kubernetes API. Hands bound pods to the kubelet and to the agents. */
export interface ObjectSource {
  /** The lab's pods by `namespace/name`. */
  readonly bound: ReadonlyMap<string, BoundPod>;
  readonly problems: readonly Problem[];
  readonly configMaps: readonly ConfigMap[];
  readonly secrets: readonly Secret[];
  /** As they were given; none if they are those of an API. */
  readonly objects: readonly ManifestObject[];
  /** Reads what is there. Resolves with the first plan, handed out already; `up` waits until it is in force. */
  open(): Promise<BindingPlan>;
  /** The agents are up. */
  agentsReady(): Promise<void>;
  /** Writes objects over those of the same name. Throws LabError `read-only` where they are someone else's. */
  put(objects: readonly ManifestObject[]): BindingPlan;
  /** Removes objects by `Kind/namespace/name`; gives the keys that were there. Throws like `put`. */
  remove(keys: readonly string[]): { removed: string[]; plan: BindingPlan };
  /** Key of the workload that asks for a pod, started or not, by the pod's key. */
  ownerOf(pod: string): string | undefined;
  /** What would be wrong with objects if they were put. Throws like `put`. */
  foresee(objects: readonly ManifestObject[], ofPods: (pods: readonly Pod[]) => Problem[]): Problem[];
  /** A pod has been given its addresses, or has ended and gives them back. */
  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void;
  /** Something about the kubelet's pods is new. */
  changed(): void;
  close(): Promise<void>;
}

/** A lab whose objects are written elsewhere. */
export function readOnly(lab: string): LabError {
  const hint = "use kubectl";
  return new LabError("read-only", `change lab ${lab}: its objects are those of a Kubernetes API (${hint})`);
}
