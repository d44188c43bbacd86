import type { ConfigMap, Ended, ManifestObject, Pod, Secret } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { BindingPlan } from "./binding.ts";
import { LabError } from "./errors.ts";
import type { BoundPod } from "./pod-host.ts";

/** Source of a lab's objects: manifests, or a Kubernetes API. Passes bound pods to the kubelet and to the agents. */
export interface ObjectSource {
  /** The lab's pods by `namespace/name`. */
  readonly bound: ReadonlyMap<string, BoundPod>;
  readonly problems: readonly Problem[];
  readonly configMaps: readonly ConfigMap[];
  readonly secrets: readonly Secret[];
  /** As they were given; none if they are those of an API. */
  readonly objects: readonly ManifestObject[];
  /**
   * Reads the objects. Resolves with the first plan, which has been passed on already; `up` waits until it is in force.
   */
  open(): Promise<BindingPlan>;
  /** Called when the agents are up. */
  agentsReady(): Promise<void>;
  /**
   * Creates objects or replaces those of the same name. Throws LabError `read-only` if the source cannot be written.
   */
  put(objects: readonly ManifestObject[]): BindingPlan;
  /** Removes objects by `Kind/namespace/name`; returns the keys that existed. Throws like `put`. */
  remove(keys: readonly string[]): { removed: string[]; plan: BindingPlan };
  /** Key of the workload of a pod, started or not, by the pod's key. */
  ownerOf(pod: string): string | undefined;
  /** The problems that objects would have if they were put. Throws like `put`. */
  preview(objects: readonly ManifestObject[], ofPods: (pods: readonly Pod[]) => Problem[]): Problem[];
  /** Called when a pod has got its addresses, or has ended and releases them. */
  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void;
  /** Called when the state of the kubelet's pods has changed. */
  changed(): void;
  close(): Promise<void>;
}

/** The error for a lab whose objects cannot be written through it. */
export function readOnly(lab: string): LabError {
  const hint = "use kubectl";
  return new LabError("read-only", `change lab ${lab}: its objects are those of a Kubernetes API (${hint})`);
}
