import { setTimeout as sleep } from "node:timers/promises";
import { NODE } from "../authors/cluster.ts";
import type { Planner } from "../authors/planner.ts";
import type { NodeContext } from "../model/cluster.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { ManifestObject, Node, Problem } from "../model/objects.ts";
import { type AppliedObject, doubled } from "../sources/applied.ts";
import type { AgentParts } from "./agent.ts";
import type { Resolution } from "./programs.ts";

const NO_PROGRAMS: Resolution = { builds: new Map(), problems: [], standings: new Map(), pending: new Set() };
/** How long the first pass waits for programs to be built, ms: until then the datapath of the last agent is in force. */
const FIRST_BUILDS = 5_000;
/** Programs are looked up again this often though nothing changed, ms: a folder may be one that cannot be watched. */
const RESOLVE_EVERY = 30_000;
/** The node's devices and addresses are looked at this often though nobody told of a change, ms. */
const FOLLOW_EVERY = 60_000;

/** Takes what the agent's sources tell into the store, and finds out what nobody tells of. */
export class Knowledge {
  /** Every source has told all that it knew. */
  synced = false;
  programs: Resolution = NO_PROGRAMS;
  /** Version of the node's own object that the last pass has seen: whoever changed it knows what else is seen by that. */
  observedVersion: string | undefined;
  readonly #parts: AgentParts;
  readonly #planner: Planner;
  /** Keys of objects that are to be read again. */
  readonly #dirty = new Set<string>();
  /** Where nobody tells: something that decides what is found has changed. */
  #seeks = true;
  /** Pods whose programs are to be looked up again. */
  #resolves = true;
  #resolvedAt = 0;
  /** The node itself may be another. */
  #moves = true;
  #followedAt = 0;
  #remembers = true;
  #found: readonly Problem[] = [];
  #faults: readonly Problem[] = [];
  /** Why the node cannot be made out. */
  #moved: Problem | undefined;

  constructor(parts: AgentParts, planner: Planner) {
    this.#parts = parts;
    this.#planner = planner;
    const { cluster, rules, ports } = planner;
    for (const [key, one] of parts.lastGood.load()) cluster.lastGood.set(key, one);
    cluster.lastGood.watch(() => {
      this.#remembers = true;
    });
    cluster.pods.watch(() => {
      this.#seeks = true;
    });
    for (const kind of [rules.limits, rules.impairments, rules.programs]) {
      kind.watch(({ before, after }) => {
        if (before === undefined || after === undefined) this.#seeks = true;
      });
    }
    for (const one of [rules.programs, ports]) {
      one.watch(() => {
        this.#resolves = true;
      });
    }
  }

  /** Takes in all that the sources know. */
  readAll(): void {
    const { manifests, applied } = this.#parts;
    for (const { kind, metadata } of manifests?.snapshot().objects ?? []) this.#dirty.add(objectKey(kind, metadata));
    for (const { key } of applied.list()) this.#dirty.add(key);
    this.synced = true;
    this.#read();
    this.#readEndpoints();
    this.#planner.forgetLost();
  }

  changed(keys: Iterable<string>): void {
    for (const key of keys) this.#dirty.add(key);
  }

  /** Users' programs may be others, or built by now. */
  programsChanged(): void {
    this.#resolves = true;
  }

  /** Plans with what is known now (ms since the epoch). Gives when something of it ends. */
  follow(now: number): number | undefined {
    const { fault: unforgotten, next: end } = this.#forgetOneOffs(now);
    this.#moves ||= this.#dirty.has(objectKey("Node", this.#planner.node));
    if (this.#moves || this.#moved || performance.now() - this.#followedAt > FOLLOW_EVERY) this.#followNode();
    this.#faults = [unforgotten, this.#moved].filter((one) => one !== undefined);
    this.#read();
    this.#readEndpoints();
    this.#planner.settle(now);
    this.#seek();
    this.#resolve();
    this.#planner.settle(now);
    return end;
  }

  /** What sources themselves say is wrong. */
  problems(): Problem[] {
    const { manifests, endpoints, lastGood: file, applied } = this.#parts;
    return [
      ...(manifests?.problems() ?? []),
      ...this.#doubled(),
      ...endpoints.problems,
      ...file.problems,
      ...applied.problems,
    ];
  }

  /** What is wrong where the agent itself looks: devices, cgroups, programs. */
  get found(): readonly Problem[] {
    return [...this.#found, ...this.programs.problems];
  }

  /** What kept a pass from knowing all that it should. */
  get faults(): readonly Problem[] {
    return this.#faults;
  }

  /** Writes last good rules to disk if any changed. Throws what the disk says; it is tried again at the next call. */
  save(): void {
    if (!this.#remembers) return;
    this.#parts.lastGood.save(new Map(this.#planner.cluster.lastGood.rows()));
    this.#remembers = false;
  }

  /** Would what nobody tells of be found otherwise now? */
  isStale(): boolean {
    const { taps, hosts } = this.#parts;
    const isStale = (taps?.isStale || hosts?.isStale) ?? false;
    this.#seeks ||= isStale;
    return isStale || this.#isResolutionOld();
  }

  /** The kernel told of something that the node is: the next pass looks at it. */
  doubtNode(): void {
    this.#moves = true;
  }

  /** Is the node other than the last pass knew it? */
  hasMoved(): boolean {
    try {
      return this.#nodeNow() !== this.#planner.node;
    } catch {
      return true; // the pass says why
    }
  }

  /** Builds what the rules of now ask for, so that the first pass leaves no pod without its program meanwhile. */
  async firstBuilds(): Promise<void> {
    const { programs, signal } = this.#parts;
    const deadline = performance.now() + FIRST_BUILDS;
    while (!signal.aborted && performance.now() < deadline) {
      this.#planner.settle(Date.now());
      this.#seek();
      this.#planner.settle(Date.now());
      this.#resolves = true;
      this.#resolve();
      if (this.programs.pending.size === 0) return;
      await Promise.race([programs.idle, sleep(deadline - performance.now(), undefined, { ref: false })]);
    }
  }

  /** What would be wrong if these were applied beside what is. Programs of rules are not looked at. */
  foresee(changes: readonly AppliedObject[]): readonly Problem[] {
    const { cluster } = this.#planner;
    const now = Date.now();
    for (const { key, object } of changes) cluster.put(key, this.#parts.manifests?.object(key) ?? object);
    this.#planner.foresee(now);
    const problems = this.#planner.problems();
    for (const { key } of changes) cluster.put(key, this.#objectOf(key));
    this.#planner.settle(now);
    return problems;
  }

  #read(): void {
    for (const key of this.#dirty) this.#planner.cluster.put(key, this.#objectOf(key));
    this.#dirty.clear();
    this.observedVersion = this.#ownObject()?.metadata.resourceVersion;
  }

  /** What is in both counts as the watched source has it. */
  #objectOf(key: string): ManifestObject | undefined {
    return this.#parts.manifests?.object(key) ?? this.#parts.applied.get(key)?.object;
  }

  #readEndpoints(): void {
    const { cluster } = this.#planner;
    const endpoints = this.#parts.endpoints.changes();
    for (const key of endpoints) {
      const [namespace = "", name = ""] = key.split("/");
      cluster.putAttachment(key, this.#parts.endpoints.get(namespace, name));
    }
  }

  #doubled(): Problem[] {
    const { manifests, applied } = this.#parts;
    if (!manifests || applied.size === 0) return [];
    return applied.list().flatMap(({ key }) => (manifests.object(key) ? [doubled(key)] : []));
  }

  /** A node that cannot be made out, as without its uplink, counts as it was. */
  #followNode(): void {
    this.#moves = false;
    this.#followedAt = performance.now();
    try {
      this.#planner.cluster.node.set(NODE, this.#nodeNow());
      this.#moved = undefined;
    } catch (error) {
      this.#moved = { object: objectKey("Node", this.#planner.node), message: (error as Error).message };
    }
  }

  #nodeNow(): NodeContext {
    const { follow } = this.#parts;
    const { node } = this.#planner;
    return follow ? follow(this.#ownObject(), node) : node;
  }

  #ownObject(): Node | undefined {
    return this.#parts.manifests?.object(objectKey("Node", this.#planner.node)) as Node | undefined;
  }

  /** One-off impairments go some time after their end. What cannot be forgotten acts on nothing all the same. */
  #forgetOneOffs(now: number): { fault?: Problem; next?: number | undefined } {
    const { applied } = this.#parts;
    try {
      const { gone, next } = applied.expire(now);
      this.changed(gone);
      return { next };
    } catch (error) {
      return { fault: { object: "one-off impairments", message: (error as Error).message } };
    }
  }

  /** Devices that pods have of another network, and cgroups of pods in the node's own. */
  #seek(): void {
    if (!this.#seeks) return;
    this.#seeks = false;
    const { cluster, node, rules } = this.#planner;
    const { taps, hosts } = this.#parts;
    const pods = (index: string) => cluster.pods.keys(index, NODE).flatMap((key) => cluster.pods.get(key) ?? []);
    const hasRules = (key: string): boolean =>
      [rules.limits, rules.impairments, rules.programs].some((one) => (one.get(key)?.rules.length ?? 0) > 0);
    const tapped = taps?.find(node.name, pods("tapped")) ?? { taps: [], problems: [] };
    const hosted = hosts?.find(node, pods("host"), hasRules) ?? { hosts: [], problems: [] };
    cluster.taps.replace(new Map(tapped.taps.map((one) => [podKey(one), one])));
    cluster.hosts.replace(new Map(hosted.hosts.map((one) => [podKey(one), one])));
    this.#found = [...tapped.problems, ...hosted.problems];
  }

  #isResolutionOld(): boolean {
    return this.#planner.rules.programs.size > 0 && performance.now() - this.#resolvedAt > RESOLVE_EVERY;
  }

  #resolve(): void {
    const { programs } = this.#parts;
    if (!this.#resolves && !this.#isResolutionOld()) return;
    this.#resolves = false;
    this.#resolvedAt = performance.now();
    const { rules, ports, cluster } = this.#planner;
    const wanted = rules.programs.keys().map((key) => [key, rules.programs.get(key)?.rules ?? []] as const);
    this.programs = programs.resolve(wanted, (key) => ports.get(key)?.id);
    cluster.builds.replace(this.programs.builds);
  }
}
