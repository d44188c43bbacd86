import { objectKey, podKey } from "../names.ts";
import type {
  DaemonSet,
  Deployment,
  ManifestObject,
  Node,
  Pod,
  Problem,
  ReplicaSet,
  StatefulSet,
  Workload,
} from "../objects.ts";
import { generatedName, templateHash } from "./identity.ts";
import { cronPods, type Finished, jobPods } from "./jobs.ts";
import { podOf, standalonePod } from "./pod.ts";
import { selects } from "./schedule.ts";

export interface ExpandInput {
  objects: readonly ManifestObject[];
  /** The nodes that daemon sets run on. */
  nodes: readonly Node[];
  /** How pods ended, by uid. */
  finished?: Finished | undefined;
  /** uids of pods that exist already: a cron job's run that began goes on. */
  known?: ReadonlySet<string> | undefined;
  /** ms since the epoch: when the lab began, and now. Without it cron jobs do not run. */
  clock?: { since: number; now: number } | undefined;
}

export interface Expanded {
  pods: readonly Pod[];
  problems: readonly Problem[];
  /** When a cron job runs next, ms since the epoch: expand again then. */
  wakeAt?: number | undefined;
}

/**
 * The pods of all workloads, as their controllers would make them, but with names and uids that depend on the
 * manifests alone: reading a file again changes no pod. Pure.
 */
export function expandWorkloads(input: ExpandInput): Expanded {
  const pods = new Map<string, Pod>();
  const problems: Problem[] = [];
  let wakeAt: number | undefined;
  const add = (pod: Pod): void => {
    const key = podKey(pod.metadata);
    const other = pods.get(key);
    if (!other) pods.set(key, pod);
    else problems.push({ object: objectKey("Pod", pod.metadata), message: takenBy(pod, other) });
  };
  // What somebody named goes first: a generated pod must not take its place.
  for (const object of input.objects) if (object.kind === "Pod") add(standalonePod(object));
  for (const object of input.objects) {
    const { pods: made, next } = podsOf(object, input);
    for (const pod of made) add(pod);
    if (next !== undefined && next < (wakeAt ?? Number.POSITIVE_INFINITY)) wakeAt = next;
  }
  return { pods: [...pods.values()], problems, wakeAt };
}

function takenBy(pod: Pod, other: Pod): string {
  return `${pod.owner ?? "a manifest"} cannot make it: ${other.owner ?? "a Pod in the manifests"} has this name already`;
}

function podsOf(object: ManifestObject, input: ExpandInput): { pods: readonly Pod[]; next?: number | undefined } {
  const { finished = new Map(), known = new Set(), clock } = input;
  switch (object.kind) {
    case "Deployment":
    case "ReplicaSet":
      return { pods: replicas(object) };
    case "StatefulSet":
      return { pods: statefulPods(object) };
    case "DaemonSet":
      return { pods: daemonPods(object, input.nodes) };
    case "Job":
      return { pods: jobPods({ ...object, name: object.metadata.name, owner: object }, finished).pods };
    case "CronJob":
      return clock ? cronPods(object, { finished, known, ...clock }) : { pods: [] };
    default:
      return { pods: [] };
  }
}

function identityOf(workload: Workload): string[] {
  return [workload.kind, workload.metadata.namespace, workload.metadata.name, templateHash(workload.template)];
}

function replicas(workload: Deployment | ReplicaSet): Pod[] {
  const hash = templateHash(workload.template);
  const deployed = workload.kind === "Deployment";
  const base = deployed ? `${workload.metadata.name}-${hash}` : workload.metadata.name;
  const labels: Record<string, string> = deployed ? { "pod-template-hash": hash } : {};
  const taken = new Set<string>();
  return Array.from({ length: workload.replicas }, (_, ordinal) => {
    const name = generatedName(base, taken, ...identityOf(workload), ordinal);
    return podOf(workload, workload.template, { name, ordinal, labels });
  });
}

function statefulPods(set: StatefulSet): Pod[] {
  return Array.from({ length: set.replicas }, (_, i) => {
    const ordinal = set.start + i;
    const name = `${set.metadata.name}-${ordinal}`;
    const labels = { "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": String(ordinal) };
    return podOf(set, set.template, { name, ordinal, labels });
  });
}

function daemonPods(set: DaemonSet, nodes: readonly Node[]): Pod[] {
  const taken = new Set<string>();
  return nodes
    .filter((node) => selects(set.template.spec, node))
    .map((node) => {
      const nodeName = node.metadata.name;
      const name = generatedName(set.metadata.name, taken, ...identityOf(set), nodeName);
      return podOf(set, set.template, { name, ordinal: nodeName, nodeName });
    });
}
