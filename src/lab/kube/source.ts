import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { objectKey, podKey } from "../../model/names.ts";
import type { ConfigMap, Ended, Namespace, Node, Pod, RuleObject, Secret } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import type { ObjectStatus } from "../../sources/kubernetes/index.ts";
import { type BindingPlan, planPods } from "../binding.ts";
import { nodeObject } from "../cluster.ts";
import { LabError, messageOf } from "../errors.ts";
import { Handout, type PodRunner } from "../handout.ts";
import type { LabNames, NodeNames } from "../names.ts";
import type { BoundPod } from "../pod-host.ts";
import { type ObjectSource, readOnly } from "../source.ts";
import { type Feed, type KubeApi, paths, statusOf } from "./api.ts";
import { ApiRules } from "./api-rules.ts";
import type { Health } from "./node.ts";
import { ApiNodes, finalise } from "./nodes.ts";
import { unsupported } from "./notes.ts";
import type { ApiPod } from "./objects.ts";
import { type ReadPod, readConfigMap, readPod, readSecret } from "./read.ts";
import { Reporter } from "./reporter.ts";
import { type AgentReader, LabResults, type ResultsView } from "./results.ts";
import { bindable, chooseNode, labTaint } from "./scheduling.ts";
import { apiStatus, graceOf } from "./status.ts";

/** Time limit for the API to list its pods at the lab's start, ms. */
const PATIENCE = 30_000;
/** Delay before a refused call is repeated, ms. */
const PAUSE = 1000;

export interface ApiSourceOptions {
  api: KubeApi;
  lab: LabNames;
  nodes: readonly NodeNames[];
  kubelet: PodRunner;
  version: string;
  health: (node: NodeNames) => Promise<Health>;
  /** By node name. */
  agents: ReadonlyMap<string, AgentReader>;
  hasImage: (image: string) => boolean;
  /** ms since the epoch. */
  now: () => number;
}

/**
 * A lab's pods from a Kubernetes API: the nodes are registered there, pods bound to them are run, and their status is
 * reported.
 */
export class ApiSource implements ObjectSource {
  readonly #options: ApiSourceOptions;
  readonly #nodes: readonly Node[];
  readonly #handout: Handout;
  readonly #apiNodes: ApiNodes;
  readonly #reporter: Reporter;
  readonly #abort = new AbortController();
  readonly #read = new WeakMap<object, ReadPod>();
  readonly #refused = new Map<string, string>();
  /** Pods that are being bound, or removed from the API, by uid. */
  readonly #chosen = new Map<string, string>();
  readonly #leaving = new Set<string>();
  readonly #troubles = new Map<string, string>();
  #pods: Feed | undefined;
  #maps: Feed | undefined;
  #secrets: Feed | undefined;
  #rules: ApiRules | undefined;
  #ruled: readonly (RuleObject | Namespace)[] = [];
  #ruleProblems: readonly Problem[] = [];
  #statuses: readonly ObjectStatus[] = [];
  #cluster: Feed | undefined;
  #results: LabResults | undefined;
  #version = 1;
  #bound: ReadonlyMap<string, BoundPod> = new Map();
  #raw: ReadonlyMap<string, ApiPod> = new Map();
  #pending: NodeJS.Immediate | undefined;

  constructor(options: ApiSourceOptions) {
    this.#options = options;
    const { api, lab, nodes, version, health, now } = options;
    const labels = (node: Node) => ({ ...node.metadata.labels, "kubernetes.io/os": "linux", "weir.dev/lab": lab.name });
    this.#nodes = nodes
      .map(nodeObject)
      .map((node) => ({ ...node, metadata: { ...node.metadata, labels: labels(node) } }));
    this.#apiNodes = new ApiNodes({ api, lab: lab.name, nodes, version, health, now });
    this.#reporter = new Reporter({ api, now, look: (uid) => this.#look(uid) });
    this.#handout = new Handout(lab, this.#nodes, options.kubelet);
    this.#handout.rules([], "1");
  }

  get bound(): ReadonlyMap<string, BoundPod> {
    return this.#bound;
  }

  readonly objects = [];

  get configMaps(): ConfigMap[] {
    return (this.#maps?.objects ?? []).map(readConfigMap);
  }

  get secrets(): Secret[] {
    return (this.#secrets?.objects ?? []).map(readSecret);
  }

  get problems(): Problem[] {
    const object = `Lab/${this.#options.lab.name}`;
    const writers = [...this.#apiNodes.troubles, ...this.#reporter.troubles, ...(this.#results?.troubles ?? [])];
    const late = [...this.#late, ...writers, ...this.#troubles.values()];
    const notes = unsupported([...this.#raw.values()], this.#rules?.absent ?? []);
    return [
      ...late.map((message) => ({ object, message, severity: "warning" as const })),
      ...notes.map((message) => ({ object, message, severity: "skipped" as const })),
      ...this.#ruleProblems,
      ...[...this.#refused].map(([uid, message]) => ({ object: this.#nameOf(uid), message })),
    ];
  }

  /**
   * Registers the nodes and lists the collections. The state of pods is reported in the API: `up` does not wait for
   * them.
   */
  async open(): Promise<BindingPlan> {
    const { api } = this.#options;
    await this.#apiNodes.register();
    const look = (): void => this.changed();
    this.#pods = api.follow(paths.pods, look);
    this.#maps = api.follow(paths.configMaps, look);
    this.#secrets = api.follow(paths.secrets, look);
    this.#rules = new ApiRules(api, look);
    this.#cluster = api.follow(paths.nodes, this.#nodesChanged());
    const deadline = Date.now() + PATIENCE;
    while (!this.#synced) {
      if (Date.now() > deadline) {
        const why = this.#late[0] ?? "no answer";
        throw new LabError("api", `list pods, ConfigMaps and rules of ${api.server}: ${why}`);
      }
      await sleep(10, undefined, { signal: this.#abort.signal });
    }
    this.#reconcile();
    return { bound: this.#bound, created: [], updated: [], removed: [] };
  }

  async agentsReady(): Promise<void> {
    await this.#apiNodes.start();
    const { api, agents } = this.#options;
    this.#results = new LabResults({ client: api.results, agents, look: () => this.#view() });
  }

  put(): never {
    throw readOnly(this.#options.lab.name);
  }

  remove(): never {
    throw readOnly(this.#options.lab.name);
  }

  ownerOf(): undefined {
    return undefined;
  }

  preview(): never {
    throw readOnly(this.#options.lab.name);
  }

  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void {
    const now = this.#bound.get(podKey(bound.pod.metadata));
    if (now?.uid === bound.uid) this.#handout.addresses(now, ips, ended);
  }

  /** Runs once for all changes of one turn of the event loop. */
  changed(): void {
    if (this.#pending !== undefined || this.#abort.signal.aborted) return;
    this.#pending = setImmediate(() => {
      this.#pending = undefined;
      this.#reconcile();
    });
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearImmediate(this.#pending);
    this.#reporter.close();
    const feeds = [this.#pods, this.#maps, this.#secrets, this.#cluster, this.#rules];
    await Promise.all([this.#apiNodes, this.#results, ...feeds].map((one) => one?.close()));
  }

  get #synced(): boolean {
    // A lab without permission to read Secrets still starts.
    const isAsked = this.#secrets?.synced === true || this.#secrets?.trouble !== undefined;
    return isAsked && [this.#pods, this.#maps, this.#cluster, this.#rules].every((one) => one?.synced === true);
  }

  /** Why the objects of the API may be out of date. */
  get #late(): string[] {
    const { trouble } = this.#options.api;
    const feeds = [this.#pods, this.#maps, this.#secrets, this.#cluster].flatMap((feed) => feed?.trouble ?? []);
    return [...new Set([...(trouble === undefined ? [] : [trouble]), ...feeds, ...(this.#rules?.troubles ?? [])])];
  }

  /** Passes changed rules to the agents. */
  #reconcileRules(): void {
    if (this.#rules === undefined) return;
    const { rules, problems, statuses } = this.#rules.read();
    const isNew = !isDeepStrictEqual(statuses, this.#statuses) || !isDeepStrictEqual(problems, this.#ruleProblems);
    this.#ruleProblems = problems;
    this.#statuses = statuses;
    if (!isDeepStrictEqual(rules, this.#ruled)) {
      this.#ruled = rules;
      this.#handout.rules(rules, String(++this.#version));
      this.#results?.hurry();
    }
    if (isNew) this.#results?.changed();
  }

  #view(): ResultsView {
    return {
      version: String(this.#version),
      statuses: this.#statuses,
      problems: this.#ruleProblems,
      nodes: new Set([...this.#nodes, ...(this.#cluster?.objects ?? [])].map(({ metadata }) => metadata.name)),
      nodeOf: (pod) => this.#bound.get(pod)?.node,
      uid: (object) =>
        object.startsWith("Pod/")
          ? this.#bound.get(object.slice("Pod/".length))?.uid
          : this.#ruled.find(({ kind, metadata }) => objectKey(kind, metadata) === object)?.metadata.uid,
    };
  }

  /** Node objects change every few seconds with their heartbeat; only the set of nodes matters. */
  #nodesChanged(): () => void {
    let known = "";
    return () => {
      const names = (this.#cluster?.objects ?? []).map(({ metadata }) => metadata.name).sort();
      if (names.join() === known) return;
      known = names.join();
      this.#results?.changed();
    };
  }

  /** Makes pods match those of the API. Does nothing before all of them are known. */
  #reconcile(): void {
    if (!this.#synced || this.#abort.signal.aborted) return;
    this.#reconcileRules();
    const all = (this.#pods?.objects ?? []) as readonly ApiPod[];
    const names = new Set(this.#nodes.map((node) => node.metadata.name));
    const ours = all.filter((raw) => names.has(raw.spec?.nodeName ?? ""));
    const before = this.#raw;
    this.#raw = new Map(ours.map((raw) => [raw.metadata.uid ?? "", raw]));
    this.#forget(all);
    const wanted = ours.filter((raw) => this.#runs(raw)).flatMap((raw) => this.#accept(raw));
    const version = ({ metadata }: Pod): string => this.#raw.get(metadata.uid ?? "")?.metadata.resourceVersion ?? "0";
    const plan = planPods(this.#bound, wanted, version);
    this.#bound = plan.bound;
    if (plan.created.length + plan.updated.length + plan.removed.length > 0) this.#results?.hurry();
    this.#handout.pods(plan, (one) => void this.#end(one, this.#raw.get(one.uid) ?? before.get(one.uid)));
    // Pods to be deleted that this supervisor has never run.
    for (const raw of ours) if (raw.metadata.deletionTimestamp !== undefined) void this.#leave(raw, undefined);
    for (const uid of this.#raw.keys()) this.#reporter.mark(uid);
    this.#bind(all, wanted);
  }

  /** A pod that is being deleted does not run; one that had ended before this supervisor started is not run again. */
  #runs({ metadata, status }: ApiPod): boolean {
    if (metadata.deletionTimestamp !== undefined) return false;
    const known = this.#bound.get(`${metadata.namespace}/${metadata.name}`)?.uid === metadata.uid;
    return known || (status?.phase !== "Succeeded" && status?.phase !== "Failed");
  }

  #accept(raw: ApiPod): Pod[] {
    const read = this.#readPod(raw);
    const uid = raw.metadata.uid ?? "";
    if ("pod" in read) this.#refused.delete(uid);
    else this.#refused.set(uid, read.refused);
    return "pod" in read ? [read.pod] : [];
  }

  #readPod(raw: ApiPod): ReadPod {
    const known = this.#read.get(raw);
    if (known !== undefined) return known;
    const read = readPod(raw);
    this.#read.set(raw, read);
    return read;
  }

  #forget(all: readonly ApiPod[]): void {
    const uids = new Set(all.map((raw) => raw.metadata.uid ?? ""));
    for (const map of [this.#refused, this.#chosen, this.#troubles])
      for (const uid of map.keys()) if (!uids.has(uid)) map.delete(uid);
    for (const uid of this.#leaving) if (!uids.has(uid)) this.#leaving.delete(uid);
    this.#reporter.keep(new Set(this.#raw.keys()));
  }

  #bind(all: readonly ApiPod[], placed: readonly Pod[]): void {
    const taint = labTaint(this.#options.lab.name);
    const beside = [...placed];
    for (const raw of all) {
      const uid = raw.metadata.uid ?? "";
      if (!bindable(raw, taint)) continue;
      const read = this.#readPod(raw);
      if (!("pod" in read)) {
        this.#refused.set(uid, `not bound: ${read.refused}`);
        continue;
      }
      const known = this.#chosen.get(uid);
      const node = known ?? chooseNode(raw, read.pod, beside, this.#nodes);
      if (node === undefined) continue;
      beside.push({ ...read.pod, nodeName: node });
      if (known === undefined) void this.#bindTo(raw, node);
    }
  }

  async #bindTo({ metadata }: ApiPod, node: string): Promise<void> {
    const { namespace = "default", name, uid = "" } = metadata;
    this.#chosen.set(uid, node);
    const body = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, namespace, uid },
      target: { kind: "Node", name: node },
    };
    try {
      await this.#options.api.post(`${paths.pod(namespace, name)}/binding`, body);
      this.#troubles.delete(uid);
    } catch (error) {
      const status = statusOf(error);
      if (status === 409 || status === 404) return; // Another scheduler was first, or the pod was removed: an event of the watch follows.
      this.#troubles.set(uid, `bind pod ${namespace}/${name} to ${node}: ${messageOf(error)}`);
      this.#later(() => this.#chosen.delete(uid));
    }
  }

  /** Ends a pod's containers within its grace period, then deletes it from the API if it still exists. */
  async #end(one: BoundPod, raw: ApiPod | undefined): Promise<void> {
    const { kubelet } = this.#options;
    const asked = raw?.metadata.deletionTimestamp !== undefined;
    if (asked) this.#leaving.add(one.uid);
    const own = await kubelet.remove(one, raw !== undefined && asked ? graceOf(raw) : undefined);
    this.#leaving.delete(one.uid);
    if (raw !== undefined && asked) await this.#leave(raw, { ...this.#input(raw), own, ended: true });
  }

  async #leave(raw: ApiPod, input: Parameters<typeof apiStatus>[0] | undefined): Promise<void> {
    const uid = raw.metadata.uid ?? "";
    if (this.#leaving.has(uid)) return;
    this.#leaving.add(uid);
    const over = raw.status?.phase === "Succeeded" || raw.status?.phase === "Failed";
    const last = input === undefined ? (over ? {} : { phase: "Failed" }) : apiStatus(input);
    for (let failures = 0; !this.#abort.signal.aborted; failures++) {
      try {
        await finalise(this.#options.api, raw, last);
        this.#troubles.delete(uid);
        return;
      } catch (error) {
        this.#troubles.set(uid, `remove pod ${raw.metadata.namespace}/${raw.metadata.name}: ${messageOf(error)}`);
        await sleep(Math.min(PAUSE * 2 ** failures, 10_000), undefined, { signal: this.#abort.signal }).catch(() => {});
      }
    }
  }

  #look(uid: string): { raw: ApiPod; status: Record<string, unknown> } | undefined {
    const raw = this.#raw.get(uid);
    if (raw === undefined || raw.metadata.deletionTimestamp !== undefined) return undefined;
    const input = this.#input(raw);
    // A pod that ended before this supervisor started already has its status.
    if (input.own === undefined && input.refused === undefined && !this.#runs(raw)) return undefined;
    return { raw, status: apiStatus(input) };
  }

  #input(raw: ApiPod) {
    const { kubelet, nodes, hasImage, now } = this.#options;
    const { namespace, name, uid = "" } = raw.metadata;
    const status = kubelet.worker(`${namespace}/${name}`)?.status;
    const node = nodes.find((one) => one.name === raw.spec?.nodeName);
    return {
      raw,
      own: status?.uid === uid ? status : undefined,
      refused: this.#refused.get(uid),
      hostIPs: (node?.addresses ?? []).map((address) => address.slice(0, address.indexOf("/"))),
      now: new Date(now()).toISOString().replace(/\.\d+Z$/, "Z"),
      hasImage,
    };
  }

  #later(first: () => void): void {
    setTimeout(() => {
      first();
      this.changed();
    }, PAUSE).unref();
  }

  #nameOf(uid: string): string {
    const raw = this.#raw.get(uid) ?? this.#pods?.objects.find((one) => one.metadata.uid === uid);
    return raw === undefined ? "Pod" : `Pod/${raw.metadata.namespace}/${raw.metadata.name}`;
  }
}
