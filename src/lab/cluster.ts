import { isDeepStrictEqual } from "node:util";
import { ruleProblems } from "../authors/rule-problems.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { Ended, ManifestObject, Namespace, Node, Pod, RuleObject } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { expandWorkloads, type JobMemories, schedule } from "../model/workloads/index.ts";

import { type BindingPlan, bindingsOf, ownerKey, planPods, withoutUids } from "./binding.ts";
import { Handout } from "./handout.ts";
import type { Kubelet } from "./kubelet.ts";
import { isNamespaceName, isPodName, type LabNames, type NodeNames } from "./names.ts";
import { ObjectStore } from "./objects.ts";
import type { BoundPod } from "./pod-host.ts";
import { LONGEST } from "./time.ts";
import { volumeProblems } from "./volumes.ts";

/** The Node object of a lab's node, as Kubernetes would have it. */
export function nodeObject(node: NodeNames): Node {
  const labels = { "kubernetes.io/hostname": node.name };
  return {
    kind: "Node",
    metadata: { name: node.name, labels, annotations: {}, resourceVersion: "1" },
    addresses: node.addresses.map((address) => address.slice(0, address.indexOf("/"))),
    podCIDRs: node.podCIDRs,
  };
}

export interface ClusterOptions {
  lab: LabNames;
  nodes: readonly NodeNames[];
  kubelet: Kubelet;
  /** ms since the epoch. */
  now: () => number;
}

/**
 * A lab's API server, controllers and scheduler: takes objects, and passes bound pods to agents (as files) and to the
 * kubelet.
 */
export class Cluster {
  readonly store = new ObjectStore();
  readonly #options: ClusterOptions;
  readonly #nodes: readonly Node[];
  readonly #since: number;
  #bound: ReadonlyMap<string, BoundPod> = new Map();
  #problems: readonly Problem[] = [];
  #owners: ReadonlyMap<string, string> = new Map();
  #version = 1;
  #rules: readonly (RuleObject | Namespace)[] = [];
  readonly #handout: Handout;
  #jobs: JobMemories = new Map();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#since = options.now();
    this.#nodes = options.nodes.map(nodeObject);
    this.#handout = new Handout(options.lab, this.#nodes, options.kubelet);
    this.#handout.rules([], String(this.#version));
  }

  get bound(): ReadonlyMap<string, BoundPod> {
    return this.#bound;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /**
   * Makes pods, files and kubelet match the current objects. Synchronous: the plan is made and handed out as a whole.
   */
  reconcile(): BindingPlan {
    const { pods, owners, problems, wakeAt, jobs } = this.#place(this.store.all);
    this.#jobs = jobs;
    const plan = planPods(this.#bound, pods, () => String(++this.#version));
    this.#problems = problems;
    this.#owners = owners;
    this.#bound = plan.bound;
    this.#handout.pods(plan);
    this.#wake(wakeAt);
    return { ...plan, rules: this.#reconcileRules() };
  }

  /** Key of the workload of a pod, started or not, by the pod's key. */
  ownerOf(pod: string): string | undefined {
    return this.#owners.get(pod);
  }

  /**
   * The problems that objects would have beside the current ones, those of `ofPods` included. Programs are not checked:
   * only agents know the list of programs.
   */
  preview(objects: readonly ManifestObject[], ofPods: (pods: readonly Pod[]) => Problem[]): Problem[] {
    const store = new ObjectStore();
    store.put([...this.store.all, ...objects]);
    const { pods, owners, problems } = this.#place(store.all);
    const others = store.all.filter(({ kind }) =>
      ["Limit", "Impairment", "Service", "EndpointSlice", "Namespace"].includes(kind),
    );
    const ofRules = ruleProblems([...others, ...pods], this.#options.now());
    const named = new Set(objects.map(({ kind, metadata }) => objectKey(kind, metadata)));
    const concerns = ({ object }: Problem): boolean => named.has(object) || named.has(owners.get(object) ?? "");
    return [...problems, ...ofPods(pods), ...ofRules].filter(concerns);
  }

  /** The pods of objects, each with its node, and their problems. */
  #place(objects: readonly ManifestObject[]) {
    const { kubelet, now } = this.#options;
    const expanded = expandWorkloads({
      objects: withoutUids(objects),
      nodes: this.#nodes,
      finished: kubelet.finished,
      restarts: kubelet.restarts,
      jobs: this.#jobs,
      known: new Set([...this.#bound.values()].map((one) => one.uid)),
      clock: { since: this.#since, now: now() },
    });
    // Names become parts of paths, so they are checked here again, whatever reader they come from.
    const good = expanded.pods.filter((pod) => isPodName(pod.metadata.name) && isNamespaceName(pod.metadata.namespace));
    const bad = expanded.pods.filter((pod) => !good.includes(pod));
    const scheduled = schedule(good, this.#nodes, bindingsOf(this.#bound));
    const problems: Problem[] = [
      ...expanded.problems,
      ...scheduled.problems,
      ...bad.map(({ metadata }) => ({ object: objectKey("Pod", metadata), message: "not started: no valid name" })),
      ...scheduled.pods.flatMap(volumeProblems),
    ];
    const owners = new Map(expanded.pods.map((pod) => [objectKey("Pod", pod.metadata), ownerKey(pod)]));
    return { pods: scheduled.pods, owners, problems, wakeAt: expanded.wakeAt, jobs: expanded.jobs };
  }

  /** Called when a pod has got its addresses: rules of other pods may refer to them. */
  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void {
    const { pod } = bound;
    const now = this.#bound.get(podKey(pod.metadata));
    if (now?.uid === bound.uid) this.#handout.addresses(now, ips, ended);
  }

  /** The version to wait for, if rules have changed. */
  #reconcileRules(): string | undefined {
    const rules = this.store.all.filter(isRule);
    if (isDeepStrictEqual(rules, this.#rules)) return undefined;
    const version = String(++this.#version);
    this.#rules = rules;
    this.#handout.rules(rules, version);
    return version;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Schedules the next run of a CronJob or a job's deadline. */
  #wake(at: number | undefined): void {
    clearTimeout(this.#timer);
    if (at === undefined || this.#closed) return;
    const delay = Math.min(Math.max(at - this.#options.now(), 0), LONGEST);
    this.#timer = setTimeout(() => this.reconcile(), delay);
  }
}

const RULES = new Set(["Service", "EndpointSlice", "Limit", "Impairment", "Namespace"]);
const isRule = (object: ManifestObject): object is RuleObject | Namespace => RULES.has(object.kind);

/** Key of a bound pod, `namespace/name`. */
export function keyOf(one: BoundPod): string {
  return podKey(one.pod.metadata);
}
