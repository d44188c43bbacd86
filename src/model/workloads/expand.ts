import { objectKey, podKey } from "../names.ts";
import type {
  DaemonSet,
  Deployment,
  ManifestObject,
  Node,
  Pod,
  ReplicaSet,
  StatefulSet,
  Workload,
} from "../objects.ts";
import type { Problem } from "../problem.ts";
import { generatedName, templateHash } from "./identity.ts";
import { cronPods, type Finished, type JobMemories, type JobMemory, type JobState, jobPods } from "./jobs.ts";
import { podOf, standalonePod } from "./pod.ts";
import { selects } from "./schedule.ts";

export interface ExpandInput {
  objects: readonly ManifestObject[];
  /** The nodes that DaemonSets run on. */
  nodes: readonly Node[];
  /** How pods ended, by uid. */
  finished?: Finished | undefined;
  /** Number of container restarts of a pod, by its uid. */
  restarts?: ReadonlyMap<string, number> | undefined;
  /** `jobs` of the previous call. */
  jobs?: JobMemories | undefined;
  /** uids of pods that exist already: a CronJob's run that has begun goes on. */
  known?: ReadonlySet<string> | undefined;
  /** When the lab started, and the current time; ms since the epoch. Without it CronJobs do not run. */
  clock?: { since: number; now: number } | undefined;
}

export interface Expanded {
  pods: readonly Pod[];
  problems: readonly Problem[];
  /** Pass this to the next call. */
  jobs: JobMemories;
  /** When a CronJob runs next or a deadline passes, ms since the epoch: call again then. */
  wakeAt?: number | undefined;
}

/**
 * The pods of all workloads, as their controllers would create them. Names and uids depend on the manifests alone, so
 * reading a file again changes no pod. Pure.
 */
export function expandWorkloads(input: ExpandInput): Expanded {
  const pods = new Map<string, Pod>();
  const problems: Problem[] = [];
  const jobs = new Map<string, JobMemory>();
  const times: number[] = [];
  const add = (pod: Pod): void => {
    const key = podKey(pod.metadata);
    const other = pods.get(key);
    if (!other) pods.set(key, pod);
    else problems.push({ object: objectKey("Pod", pod.metadata), message: takenBy(pod, other) });
  };
  // Pods of the manifests come first: a generated pod must not take their name.
  for (const object of input.objects) if (object.kind === "Pod") add(standalonePod(object));
  for (const object of input.objects) {
    const { pods: made = [], jobs: states = [], next } = podsOf(object, input);
    for (const pod of [...made, ...states.flatMap((job) => job.pods)]) add(pod);
    for (const { key, memory } of states) jobs.set(key, memory);
    problems.push(...states.flatMap((job) => failureOf(object, job)));
    times.push(...[next, ...states.map(({ deadline }) => deadline)].filter((time) => time !== undefined));
  }
  return { pods: [...pods.values()], problems, jobs, wakeAt: times.length === 0 ? undefined : Math.min(...times) };
}

function failureOf({ kind, metadata }: ManifestObject, { memory, pods, key }: JobState): Problem[] {
  const { reason } = memory;
  if (reason === undefined) return [];
  if (kind === "CronJob" && pods.length === 0) return []; // its run is forgotten
  const run = kind === "CronJob" ? `run ${key.split("/")[2]} ` : "";
  const why =
    reason === "DeadlineExceeded"
      ? "it was active longer than activeDeadlineSeconds"
      : "it failed more often than backoffLimit";
  return [{ object: objectKey(kind, metadata), message: `${run}failed: ${why} (${reason})` }];
}

function takenBy(pod: Pod, other: Pod): string {
  return `${pod.owner ?? "a manifest"} cannot make it: ${other.owner ?? "a Pod in the manifests"} has this name already`;
}

interface Made {
  pods?: readonly Pod[];
  jobs?: readonly JobState[];
  next?: number | undefined;
}

function podsOf(object: ManifestObject, input: ExpandInput): Made {
  const { finished = new Map(), restarts, jobs: memories, known = new Set(), clock } = input;
  const ofJobs = { finished, restarts, memories };
  switch (object.kind) {
    case "Deployment":
    case "ReplicaSet":
      return { pods: replicas(object) };
    case "StatefulSet":
      return { pods: statefulPods(object) };
    case "DaemonSet":
      return { pods: daemonPods(object, input.nodes) };
    case "Job":
      return {
        jobs: [jobPods({ ...object, name: object.metadata.name, owner: object }, { ...ofJobs, now: clock?.now })],
      };
    case "CronJob":
      return clock ? cronPods(object, { ...ofJobs, known, ...clock }) : {};
    default:
      return {};
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
