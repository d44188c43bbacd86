import { mkdirSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../api/client.ts";
import { type ResolvedContainer, resolveContainer } from "../model/environment.ts";
import { objectKey } from "../model/names.ts";
import type { Container, ManifestObject } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { ruleProblems } from "../model/rule-objects.ts";
import { version } from "../model/version.ts";
import { writeAtomically } from "../sources/atomic.ts";
import { agentConfig } from "./agent-config.ts";
import { AgentProcess, type AgentProgram, agentArgv } from "./agent-process.ts";
import { type BindingPlan, ownerKey } from "./binding.ts";
import { createCgroup } from "./cgroups.ts";
import type { Target } from "./client.ts";
import { keyOf } from "./cluster.ts";
import { LabError, messageOf } from "./errors.ts";
import { Images, imageBase } from "./images.ts";
import { deleteApplied, type ForceResult, isRuleKey, problemsOfRules, waitInForce, waitRules } from "./in-force.ts";
import type { Connect } from "./kube/api.ts";
import type { Health } from "./kube/node.ts";
import { openApi } from "./kube/open.ts";
import { ApiSource } from "./kube/source.ts";
import { Kubelet } from "./kubelet.ts";
import { commandProblems, launchOf } from "./launch.ts";
import { ManifestSource } from "./manifest-source.ts";
import type { LabNames, NodeNames } from "./names.ts";
import { makeNetnsDir } from "./netns-dir.ts";
import { isError } from "./objects.ts";
import type { BoundPod } from "./pod-host.ts";
import { dedupe, steps } from "./problems.ts";
import type { Report } from "./progress.ts";
import { type LabRecord, labNodes } from "./record.ts";
import { run } from "./run.ts";
import { serial } from "./serial.ts";
import type { ObjectSource } from "./source.ts";
import type { LabStatus, NodeStatus } from "./status.ts";
import { buildUnderlay } from "./underlay.ts";

export interface LabOptions {
  names: LabNames;
  record: LabRecord;
  program: AgentProgram;
  env: NodeJS.ProcessEnv;
  /** Opens the Kubernetes API of a lab that uses one. */
  connect?: Connect | undefined;
  /** ms since the epoch. */
  now: () => number;
}

/** Resources of a container without limits. */
const CAPACITY = { cpu: String(availableParallelism()), memory: String(totalmem()) };

/** Time limit for a change to be in force, ms: in an emulated machine it takes most of this. */
const PATIENCE = 120_000;
const READY_PATIENCE = 120_000;

/** A running lab: underlay, agents, cluster, kubelet. This class creates and changes them; `teardown` removes them. */
export class Lab {
  readonly #options: LabOptions;
  readonly #nodes: readonly NodeNames[];
  readonly #agents = new Map<string, AgentProcess>();
  readonly #clients: ReadonlyMap<string, Client>;
  readonly #abort = new AbortController();
  readonly #images: Images;
  readonly #kubelet: Kubelet;
  readonly #left: Problem[] = [];
  /**
   * Changes run in sequence, each on the result of the previous one. Waiting until a change is in force does not block
   * the next.
   */
  readonly #change = serial();
  #source: ObjectSource | undefined;

  constructor(options: LabOptions) {
    const { names, record } = options;
    this.#options = options;
    this.#nodes = labNodes(names, record);
    this.#clients = new Map(this.#nodes.map((node) => [node.name, new Client({ socket: node.socket })]));
    this.#images = new Images(names.images, record.images, imageBase(record.sources));
    this.#kubelet = new Kubelet({
      lab: names,
      cgroup: record.cgroup,
      homeCgroup: `${record.cgroup}/supervisor`,
      nodes: this.#nodes,
      agents: this.#clients,
      images: this.#images,
      resolve: (bound, container, ips) => this.#resolve(bound, container, ips),
      configMaps: () => this.#source?.configMaps ?? [],
      onChange: () => this.#source?.changed(),
      onAddresses: (bound, ips, ended) => this.#source?.addresses(bound, ips, ended),
      onLeft: (message) => this.#left.push({ object: `Lab/${names.name}`, message }),
    });
  }

  /** Creates the lab and starts the pods; resolves when all are ready, or throws with the reason. */
  async up(report: Report): Promise<void> {
    const { names } = this.#options;
    report({ state: "start", text: "network between the nodes" });
    await this.#ground();
    report({ state: "done", text: `network of ${this.#nodes.length} ${this.#nodes.length === 1 ? "node" : "nodes"}` });
    const source = await this.#openSource();
    this.#source = source;
    for (const node of this.#nodes) this.#startAgent(node);
    report({ state: "start", text: "manifests" });
    const plan = await source.open();
    report({ state: "start", text: "agents" });
    await Promise.all(this.#nodes.map((node) => this.#agentReady(node)));
    await source.agentsReady();
    report({ state: "done", text: `agents on ${this.#nodes.map((node) => node.name).join(", ")}` });
    const problems = await this.settle(plan, report);
    const found = [...this.problems, ...problems];
    for (const step of steps(found)) report(step);
    if (found.some(isError)) throw new LabError("not-ready", `start lab ${names.name}: not all of it is in force`);
  }

  /** Creates or replaces objects, and waits until everything that follows from it is in force. */
  async apply(objects: readonly ManifestObject[], report: Report): Promise<Problem[]> {
    const source = this.#ready();
    const plan = await this.#change(() => source.put(objects));
    const made = await this.settle(plan, report);
    const named = new Set(objects.map(({ kind, metadata }) => objectKey(kind, metadata)));
    const ofChange = made.filter(({ object }) => !isRuleKey(object));
    const ofSource = source.problems.filter(
      ({ object }) => named.has(object) || named.has(source.ownerOf(object) ?? ""),
    );
    return dedupe([...ofChange, ...ofSource, ...(await this.#standing(named))]);
  }

  /** Removes objects by `Kind/namespace/name`. Returns the keys that existed, and the problems. */
  async delete(keys: readonly string[], report: Report): Promise<{ removed: string[]; problems: Problem[] }> {
    const source = this.#ready();
    const isOthers = this.#options.record.kubernetes !== undefined;
    const { applied, removed, plan } = await this.#change(async () => {
      const applied = await deleteApplied(this.#clients, keys);
      const own = isOthers ? keys.filter((key) => !applied.removed.includes(key)) : keys;
      return { applied, ...(own.length === 0 ? { removed: [], plan: undefined } : source.remove(own)) };
    });
    if (plan === undefined) return applied;
    const made = await this.settle(plan, report);
    return {
      removed: [...new Set([...removed, ...applied.removed])],
      problems: [...made.filter(({ object }) => !isRuleKey(object)), ...applied.problems],
    };
  }

  /** The problems that objects would have if they were applied, as far as they can be known without applying them. */
  preview(objects: readonly ManifestObject[]): Problem[] {
    return this.#ready().preview(objects, (pods) => commandProblems(pods, this.#images));
  }

  /** The objects as given; empty if they are in a Kubernetes API. */
  get objects(): readonly ManifestObject[] {
    return this.#source?.objects ?? [];
  }

  get problems(): Problem[] {
    return [...(this.#source?.problems ?? []), ...this.#left];
  }

  get status(): LabStatus {
    const pods = this.#kubelet.pods;
    const { names, record } = this.#options;
    const good = pods.every((pod) => pod.phase === "Succeeded" || (pod.phase === "Running" && pod.message === null));
    return {
      name: names.name,
      overlay: record.overlay,
      ready: good && pods.length === (this.#source?.bound.size ?? -1) && !this.problems.some(isError),
      supervisorPid: process.pid,
      nodes: this.#nodes.map((node) => this.#nodeStatus(node)),
      pods,
      problems: this.problems,
    };
  }

  /**
   * The data that `weir lab exec` needs to enter a container. Throws LabError `no-pod`, `no-container`, `not-running`.
   */
  target(namespace: string, pod: string, container?: string): Target {
    const what = `enter pod ${namespace}/${pod}`;
    const worker = this.#kubelet.worker(`${namespace}/${pod}`);
    if (worker === undefined)
      throw new LabError("no-pod", `${what}: no such pod (weir lab status lists them; -n names the namespace)`);
    const { containers, initContainers, ips, cgroup, message } = worker.status;
    const all = [...containers, ...initContainers];
    const found = container === undefined ? containers[0] : all.find((one) => one.name === container);
    const specs = [...worker.bound.pod.containers, ...(worker.bound.pod.initContainers ?? [])];
    const spec = specs.find((one) => one.name === found?.name);
    if (spec === undefined || found === undefined) {
      const names = specs.map((one) => one.name).join(", ");
      throw new LabError("no-container", `${what}: ${message ?? `no container ${container}; it has ${names}`}`);
    }
    if (found.state !== "running" || found.pid === null) {
      throw new LabError(
        "not-running",
        `${what}: container ${found.name} does not run (${message ?? found.reason ?? found.state})`,
      );
    }
    const { bound } = worker;
    const { env, image } = launchOf(bound.pod, spec, this.#images, this.#resolve(bound, spec, ips));
    return { init: found.pid, cgroup, env, ownRoot: image !== undefined };
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#source?.close();
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
  }

  /** Waits until a plan is in force: new pods run, changed pods are reported by their agents, removed pods are gone. */
  async settle(plan: BindingPlan, report: Report): Promise<Problem[]> {
    const problems: Problem[] = [];
    const { created, updated, removed } = plan;
    const total = created.length + updated.length + removed.length;
    let done = 0;
    const count = (): void => report({ state: "start", text: `pods ${++done}/${total}` });
    if (total > 0) report({ state: "start", text: `pods 0/${total}` });
    await Promise.all([
      ...created.map((one) =>
        this.#podReady(one).then((found) => {
          problems.push(...found);
          count();
        }),
      ),
      ...removed.map((one) => this.#kubelet.quiet(keyOf(one)).then(count)),
      ...updated.map(async () => count()),
      ...this.#expectations([...created, ...updated]).map(async (wait) => {
        for (const result of await wait) problems.push(...result.problems);
      }),
      ...(plan.rules === undefined ? [] : this.#rulesInForce(plan.rules)).map(async (wait) => {
        problems.push(...(await wait));
      }),
    ]);
    // Problems of rules that were reported before all pods existed may be solved.
    const now = plan.rules === undefined ? [] : [...this.#clients.values()].map(problemsOfRules);
    const ofRules = (await Promise.all(now)).flat();
    report({ state: "done", text: summary(plan) });
    return dedupe([...problems.filter(({ object }) => !isRuleKey(object)), ...ofRules]);
  }

  /** The agents' problems of these objects and their pods, including those that existed before the change. */
  async #standing(named: ReadonlySet<string>): Promise<Problem[]> {
    const pods = [...this.#ready().bound.values()].filter(
      ({ pod }) => named.has(objectKey("Pod", pod.metadata)) || named.has(ownerKey(pod)),
    );
    const ofPods = (await Promise.all(this.#expectations(pods))).flat().flatMap((one) => one.problems);
    if (![...named].some(isRuleKey)) return ofPods;
    const ofRules = (await Promise.all(this.#rulesInForce("0"))).flat().filter(({ object }) => named.has(object));
    const told = new Set(ofRules.map(({ object }) => object));
    const silent = [...named].filter((key) => !told.has(key));
    const receipts = (await Promise.all([...this.#clients.values()].map((agent) => agent.receipts()))).flat();
    return [...ofPods, ...ofRules, ...ruleProblems(silent, receipts)];
  }

  #ready(): ObjectSource {
    if (this.#source === undefined) throw new LabError("not-ready", "change lab: it is still being started");
    return this.#source;
  }

  async #openSource(): Promise<ObjectSource> {
    const { names: lab, record, now, connect } = this.#options;
    const shared = { lab, nodes: this.#nodes, kubelet: this.#kubelet, now };
    if (record.kubernetes === undefined) return new ManifestSource({ ...shared, paths: record.sources });
    return new ApiSource({
      ...shared,
      api: await openApi(connect, record.kubernetes),
      version,
      health: (node) => this.#health(node),
      agents: this.#clients,
      hasImage: (image) => this.#images.knows(image),
    });
  }

  async #health({ name }: NodeNames): Promise<Health> {
    const client = this.#clients.get(name);
    if (client === undefined) return { ready: false, message: "it has no agent" };
    return client.status().then(
      ({ state }) => ({ ready: state !== "starting", message: `the agent is ${state}` }),
      (error) => ({ ready: false, message: messageOf(error) }),
    );
  }

  /** One wait for each node that has pods to report. */
  #expectations(pods: readonly BoundPod[]): Promise<ForceResult[]>[] {
    return [...this.#clients].flatMap(([node, client]) => {
      const expected = pods
        .filter((one) => one.node === node)
        .map((one) => ({ key: keyOf(one), resourceVersion: one.resourceVersion, isGone: () => this.#isGone(one) }));
      return expected.length === 0 ? [] : [waitInForce(client, expected, PATIENCE, this.#abort.signal)];
    });
  }

  #isGone = (one: BoundPod): boolean => this.#source?.bound.get(keyOf(one))?.uid !== one.uid;

  #rulesInForce(version: string): Promise<Problem[]>[] {
    return [...this.#clients].map(([node, client]) =>
      waitRules(client, { node, version }, PATIENCE, this.#abort.signal),
    );
  }

  async #podReady(bound: BoundPod): Promise<Problem[]> {
    const key = keyOf(bound);
    const deadline = Date.now() + READY_PATIENCE;
    await this.#kubelet.quiet(key);
    for (;;) {
      const worker = this.#kubelet.worker(key);
      if (worker?.bound.uid !== bound.uid || this.#isGone(bound)) return []; // Another change has removed it.
      const { phase, message, ready, containers, initContainers } = worker.status;
      const all = worker.settled ? containers : [...initContainers, ...containers];
      const failed = phase === "Failed" || all.some((one) => one.state !== "running" && (one.exitCode ?? 0) !== 0);
      if (failed) return [{ object: `Pod/${key}`, message: message ?? phase }];
      if (ready) return [];
      if (Date.now() > deadline)
        return [{ object: `Pod/${key}`, message: `not ready after ${READY_PATIENCE / 1000} s: ${message}` }];
      await sleep(5);
    }
  }

  async #ground(): Promise<void> {
    const { names, record } = this.#options;
    for (const node of this.#nodes) mkdirSync(node.state, { recursive: true, mode: 0o700 });
    for (const node of this.#nodes) createCgroup(`${record.cgroup}/${node.name}`);
    mkdirSync(names.bpf, { recursive: true, mode: 0o700 });
    await makeNetnsDir(dirname(names.dir));
    await run("mount", ["-n", "-t", "bpf", "-o", "mode=0700", "bpf", names.bpf]);
    await buildUnderlay(names, this.#nodes);
  }

  #startAgent(node: NodeNames): void {
    const { names, record, program, env } = this.#options;
    writeAtomically(node.config, agentConfig(node, record));
    const argv = agentArgv(program, names, node);
    const agent = new AgentProcess({ argv, log: node.log, cgroup: `${record.cgroup}/${node.name}/agent`, env });
    this.#agents.set(node.name, agent);
    agent.start();
  }

  async #agentReady(node: NodeNames): Promise<void> {
    const client = this.#clients.get(node.name);
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const trouble = await client?.status().then(
        (status) => (status.state === "starting" ? "starting" : undefined),
        (error) => messageOf(error),
      );
      if (trouble === undefined) return;
      const agent = this.#agents.get(node.name);
      const exit = agent?.lastExit === undefined ? "" : `; it ended with ${agent.lastExit}`;
      if (Date.now() > deadline || (agent?.restarts ?? 0) >= 5) {
        throw new LabError("agent", `start agent of ${node.name}: ${trouble}${exit} (its log: ${node.log})`);
      }
      await sleep(20);
    }
  }

  #resolve(bound: BoundPod, container: Container, ips: readonly string[]): ResolvedContainer {
    const node = this.#nodes.find((one) => one.name === bound.node);
    const hostIPs = (node?.addresses ?? []).map((address) => address.slice(0, address.indexOf("/")));
    const configs = [...(this.#source?.configMaps ?? []), ...(this.#source?.secrets ?? [])];
    return resolveContainer(bound.pod, container, configs, { podIPs: ips, hostIPs, capacity: CAPACITY });
  }

  #nodeStatus(node: NodeNames): NodeStatus {
    const agent = this.#agents.get(node.name);
    return {
      name: node.name,
      agentPid: agent?.pid ?? null,
      agentRestarts: agent?.restarts ?? 0,
      agentLastExit: agent?.lastExit ?? null,
      addresses: node.addresses.map((address) => address.slice(0, address.indexOf("/"))),
      podCIDRs: node.podCIDRs,
      netns: node.netns,
      socket: node.socket,
      log: node.log,
    };
  }
}

function summary({ created, updated, removed, rules }: BindingPlan): string {
  const parts = [
    created.length > 0 ? `${created.length} started` : "",
    updated.length > 0 ? `${updated.length} changed` : "",
    removed.length > 0 ? `${removed.length} removed` : "",
    rules === undefined ? "" : "rules changed",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "no pod and no rule to change" : `pods: ${parts.join(", ")}`;
}
