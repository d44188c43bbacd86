import { setTimeout as sleep } from "node:timers/promises";
import { NODE } from "../authors/cluster.ts";
import type { Planner } from "../authors/planner.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { ManifestObject, Node } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { type AppliedObject, doubled } from "../sources/applied.ts";
import type { AgentParts } from "./parts.ts";
import type { Resolution } from "./programs.ts";

const NO_PROGRAMS: Resolution = { builds: new Map(), problems: [], states: new Map(), pending: new Set() };
/**
 * How long the first pass waits for builds of users' programs, ms. Until then the previous agent's datapath is in
 * force.
 */
const FIRST_BUILDS = 5_000;
/** Interval at which users' programs are looked up again without a change, ms: some file systems cannot be watched. */
const RESOLVE_EVERY = 30_000;
/** Interval at which the node's devices and addresses are read again without a notification, ms. */
const FOLLOW_EVERY = 60_000;

/** Writes into the store what the sources report and what the agent finds itself. */
export class Knowledge {
  /** All sources have synced. */
  synced = false;
  programs: Resolution = NO_PROGRAMS;
  /**
   * resourceVersion of the own Node object in the last pass, so that its writer can tell whether its change was seen.
   */
  observedVersion: string | undefined;
  readonly #parts: AgentParts;
  readonly #planner: Planner;
  /** Keys of objects to read again. */
  readonly #dirty = new Set<string>();
  /** Pods' devices and cgroups must be looked for again. */
  #seeks = true;
  /** Users' programs must be looked up again. */
  #resolves = true;
  #resolvedAt = 0;
  /** The node itself must be read again. */
  #moves = true;
  #followedAt = 0;
  #remembers = true;
  #found: readonly Problem[] = [];
  #faults: readonly Problem[] = [];
  /** Why the node's state could not be read. */
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

  /** Reads all objects from the sources. */
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

  /** Users' programs or their builds may have changed. */
  programsChanged(): void {
    this.#resolves = true;
  }

  /** Plans with the present state. @param now ms since the epoch. Returns when the plan next changes by itself */
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

  /** Problems reported by the sources. */
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

  /** Problems found by the agent itself: of devices, cgroups and users' programs. */
  get found(): readonly Problem[] {
    return [...this.#found, ...this.programs.problems];
  }

  /** Problems that kept the last pass from reading all of its input. */
  get faults(): readonly Problem[] {
    return this.#faults;
  }

  /** Writes changed last valid rules to disk. @throws the file system's error; the next call tries again */
  save(): void {
    if (!this.#remembers) return;
    this.#parts.lastGood.save(new Map(this.#planner.cluster.lastGood.rows()));
    this.#remembers = false;
  }

  /** Whether a pass would find other devices, cgroups or programs than the last one. */
  isStale(): boolean {
    const { taps, hosts } = this.#parts;
    const isStale = (taps?.isStale || hosts?.isStale) ?? false;
    this.#seeks ||= isStale;
    return isStale || this.#isResolutionOld();
  }

  /** Has the next pass read the node's state again. */
  doubtNode(): void {
    this.#moves = true;
  }

  /** Whether the node's state differs from that of the last pass. */
  hasMoved(): boolean {
    try {
      return this.#nodeNow() !== this.#planner.node;
    } catch {
      return true; // the pass reports the error
    }
  }

  /** Builds the users' programs of the present rules, so that the first pass does not detach any. */
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

  /** Returns the problems there would be if these changes were applied. Users' programs are not checked. */
  preview(changes: readonly AppliedObject[]): readonly Problem[] {
    const { cluster } = this.#planner;
    const now = Date.now();
    for (const { key, object } of changes) cluster.put(key, this.#parts.manifests?.object(key) ?? object);
    this.#planner.preview(now);
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

  /** An object in both the applied ones and the watched source has the watched source's content. */
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

  /** Reads the node's state. If that fails, e.g. without an uplink, the last state is used. */
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

  /** Removes one-off Impairments some time after their end. One that cannot be removed has no effect. */
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

  /** Looks for pods' devices in another network, and for cgroups of host pods. */
  #seek(): void {
    if (!this.#seeks) return;
    this.#seeks = false;
    const { taps, hosts } = this.#parts;
    // A pod's gateway is an address of the node that came with the pod's device. Rules spare it from the first packet.
    if (taps) this.#followNode();
    const { cluster, node, rules } = this.#planner;
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
