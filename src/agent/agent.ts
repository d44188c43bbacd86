import { setTimeout as sleep } from "node:timers/promises";
import type { Datapath } from "../datapath/datapath.ts";
import type { Failure } from "../datapath/failure.ts";
import type { NetworkNews } from "../kernel/index.ts";
import { type ClusterState, emptyState, type NodeContext } from "../model/cluster.ts";
import type { DesiredState } from "../model/desired.ts";
import type { RuleSettings } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import type { ManifestObject, Node, Problem } from "../model/objects.ts";
import { Runner } from "../reconcile/runner.ts";
import { type AppliedObject, type AppliedStore, withApplied } from "../sources/applied.ts";
import { type ClusterInput, type LastGood, reduceCluster } from "../sources/cluster.ts";
import type { EndpointStore } from "../sources/endpoints.ts";
import type { LastGoodFile } from "../sources/last-good.ts";
import type { ManifestWatch } from "../sources/manifests/index.ts";
import type { HostFinder } from "./hosts.ts";
import type { Logger } from "./log.ts";
import { plan } from "./plan.ts";
import type { Programs, Resolution } from "./programs.ts";
import type { TapFinder } from "./taps.ts";

export interface AgentParts {
  node: NodeContext;
  settings: RuleSettings;
  manifests: ManifestWatch | undefined;
  endpoints: EndpointStore;
  lastGood: LastGoodFile;
  applied: AppliedStore;
  datapath: Datapath;
  /** Users' own programs: looked up and built. */
  programs: Programs;
  /** In mode `chained`. */
  taps?: TapFinder | undefined;
  /** Of pods that use the node's own network. */
  hosts?: HostFinder | undefined;
  /** The BPF file system, if it is not the usual one. */
  bpffs?: string | undefined;
  /** What is known of the node now, `before` itself if that is the same. `object`: its Node. */
  follow?: ((object: Node | undefined, before: NodeContext) => NodeContext) | undefined;
  log: Logger;
  signal: AbortSignal;
}

/** The kernel is read again this often, ms; between, the agent trusts what it wrote. */
const COMPARE_EVERY = 50_000;

/** What the kernel tells of is looked at this soon, ms: a pod that sets its device up and down causes no more than that. */
const NEWS_EVERY = 200;

/** Other networks' devices and host-network pods' cgroups are looked at this often, ms. */
const LOOK_EVERY = 1000;

/** What setTimeout can wait, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The object of a failure that broke off a whole pass. */
export const AGENT = "agent";

/** What the agent has seen and done; what its API answers from. */
export interface AgentView {
  state: ClusterState;
  desired: DesiredState;
  failures: readonly Failure[];
  /** What is in force, but not as good as it should be. */
  warnings: readonly Failure[];
  programs: Resolution;
}

const NO_PROGRAMS: Resolution = { builds: new Map(), problems: [], standings: new Map(), pending: new Set() };
/** How long the first pass waits for programs to be built, ms: until then the datapath of the last agent is in force. */
const FIRST_BUILDS = 5_000;

/**
 * One node: sources → cluster state → desired state → datapath, over and over. Events mark; passes do the work.
 */
export class Agent {
  readonly parts: AgentParts;
  readonly runner: Runner;
  readonly startedAt = new Date();
  /** Passes that applied a state. */
  generation = 0;
  reconciledAt: Date | undefined;
  /** How long the last pass took, seconds. */
  passSeconds = 0;
  /** Told how long each pass took, seconds. */
  onPass: (seconds: number) => void = () => {};
  synced = false;
  writes = 0;
  #lastGood: LastGood;
  #view: AgentView;
  #reported = "";
  #warned = "";
  #hindered: readonly string[] = [];
  #comparedAt = 0;
  #renewal: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #ending: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  #news: NodeJS.Timeout | undefined;
  #node: NodeContext;

  constructor(parts: AgentParts) {
    this.parts = parts;
    this.#lastGood = parts.lastGood.load();
    const { node } = parts;
    this.#node = node;
    const state = emptyState(node);
    this.#view = { state, desired: plan(state), failures: [], warnings: [], programs: NO_PROGRAMS };
    this.runner = new Runner({
      signal: parts.signal,
      pass: async () => {
        if (this.generation === 0 && this.synced) await this.#firstBuilds();
        return this.#pass();
      },
      onError: (error) => this.#failed(error as Error),
    });
  }

  /** What is in force, or was tried last. */
  get view(): AgentView {
    return this.#view;
  }

  /** Builds what the rules of now ask for, so that the first pass leaves no pod without its program meanwhile. */
  async #firstBuilds(): Promise<void> {
    const { programs, signal } = this.parts;
    const deadline = performance.now() + FIRST_BUILDS;
    while (!signal.aborted && performance.now() < deadline) {
      if (programs.resolve(this.#reduce().state).pending.size === 0) return;
      await Promise.race([programs.idle, sleep(deadline - performance.now(), undefined, { ref: false })]);
    }
  }

  /** What is known now, by the sources. */
  #reduce(): { state: ClusterState; lastGood: LastGood } {
    const { state, lastGood } = reduceCluster(this.#lastGood, this.#input(this.parts.applied.list()));
    return { state: this.#withFound(state), lastGood };
  }

  #input(held: readonly AppliedObject[]): ClusterInput {
    const { settings, manifests, endpoints, lastGood: file, applied } = this.parts;
    const snapshot = withApplied(manifests?.snapshot() ?? { objects: [], problems: [] }, held);
    const problems = [...snapshot.problems, ...endpoints.problems, ...file.problems, ...applied.problems];
    return {
      node: this.#node,
      settings,
      problems,
      now: Date.now(),
      objects: snapshot.objects,
      endpoints: endpoints.list(),
    };
  }

  /** What would be wrong if these were applied beside what is. Programs of rules are not looked at. */
  foresee(changes: readonly AppliedObject[]): readonly Problem[] {
    const next = new Map(this.parts.applied.list().map((one) => [one.key, one]));
    for (const one of changes) next.set(one.key, one);
    return reduceCluster(this.#lastGood, this.#input([...next.values()])).state.problems;
  }

  /** The kernel told of a change: a pass follows if something is not as the last one left it. */
  noticed(news: NetworkNews): void {
    const { datapath, signal } = this.parts;
    const isOwn = news.kind === "link" && news.device.name === this.#node.uplink;
    if (!this.synced || !(isOwn || news.kind === "address" || datapath.devices.concerns(news))) return;
    if (news.kind === "qdisc") this.#comparedAt = Number.NEGATIVE_INFINITY; // the classes below it are gone too
    if (this.#news) return;
    this.#news = setTimeout(() => {
      this.#news = undefined;
      const isUnknown = this.#comparedAt === Number.NEGATIVE_INFINITY;
      if (!signal.aborted && (isUnknown || datapath.devices.isStale() || this.#hasMoved())) this.runner.mark();
    }, NEWS_EVERY);
    this.#news.unref();
  }

  /** Is the node other than the last pass knew it? */
  #hasMoved(): boolean {
    try {
      return this.#nodeNow() !== this.#node;
    } catch {
      return true; // the pass says why
    }
  }

  /** Number of rows or objects that could not be made real. */
  #pass(): number {
    if (!this.synced) return 0; // nothing is pruned before every source has told all it knew
    const { lastGood: file, datapath } = this.parts;
    const begin = performance.now();
    const before = [...this.#forgetOneOffs(), ...this.#followNode()];
    const { state: reduced, lastGood } = this.#reduce();
    this.#lastGood = lastGood;
    const programs = this.parts.programs.resolve(reduced);
    const state = { ...reduced, builds: programs.builds, problems: [...reduced.problems, ...programs.problems] };
    const desired = plan(state);
    if (begin - this.#comparedAt > COMPARE_EVERY) {
      datapath.forget();
      this.#comparedAt = begin;
    }
    const { failures, writes } = datapath.apply(desired);
    failures.push(...before);
    const { warnings } = datapath;
    this.#view = { state, desired, failures, warnings, programs };
    this.#renewLater();
    this.#passAtEnd(state);
    try {
      file.save(lastGood); // last: a full disk must not keep a limit from being in force
    } catch (error) {
      failures.push({ object: "last good rules", message: (error as Error).message });
    }
    this.writes += writes;
    this.generation++;
    this.reconciledAt = new Date();
    this.passSeconds = (performance.now() - begin) / 1000;
    this.onPass(this.passSeconds);
    this.#report(failures, writes);
    this.#warn(warnings);
    this.#tellTroubles();
    return failures.length;
  }

  /** A node that cannot be made out, as without its uplink, counts as it was. Rows are remembered by the node's object. */
  #followNode(): Failure[] {
    try {
      this.#node = this.#nodeNow();
      return [];
    } catch (error) {
      return [{ object: objectKey("Node", this.#node), message: (error as Error).message }];
    }
  }

  #nodeNow(): NodeContext {
    const { node, manifests, follow } = this.parts;
    const isOwn = (object: ManifestObject): object is Node =>
      object.kind === "Node" && object.metadata.name === node.name;
    return follow ? follow(manifests?.snapshot().objects.find(isOwn), this.#node) : this.#node;
  }

  /** With what nobody tells of: devices that pods have of another network, and cgroups of pods in the node's own. */
  #withFound(state: ClusterState): ClusterState {
    clearTimeout(this.#look);
    const { taps, hosts, signal } = this.parts;
    const tapped = taps?.find(state.node.name, state.pods) ?? { taps: [], problems: [] };
    const hosted = hosts?.find(state) ?? { hosts: [], problems: [] };
    if (!signal.aborted) this.#lookAgain();
    const problems = [...state.problems, ...tapped.problems, ...hosted.problems];
    return { ...state, taps: tapped.taps, hosts: hosted.hosts, problems };
  }

  #lookAgain(): void {
    const { taps, hosts, signal } = this.parts;
    if (!taps && !hosts) return;
    this.#look = setTimeout(() => {
      if (signal.aborted) return;
      if (taps?.isStale || hosts?.isStale) this.runner.mark();
      else this.#lookAgain();
    }, LOOK_EVERY);
    this.#look.unref();
  }

  /** One-off impairments go some time after their end. What cannot be forgotten acts on nothing all the same. */
  #forgetOneOffs(): Failure[] {
    clearTimeout(this.#expiry);
    const { applied, signal } = this.parts;
    const now = Date.now();
    try {
      const next = applied.expire(now);
      if (next === undefined || signal.aborted) return [];
      this.#expiry = setTimeout(() => this.runner.mark(), Math.min(next - now, LONGEST_TIMER));
      this.#expiry.unref();
      return [];
    } catch (error) {
      return [{ object: "one-off impairments", message: (error as Error).message }];
    }
  }

  /** What an impairment kept from acting may act once its time is over. */
  #passAtEnd({ impairments }: ClusterState): void {
    clearTimeout(this.#ending);
    const now = Date.now();
    const ends = [...impairments.values()].flat().map(({ lease }) => lease?.until ?? 0);
    const next = Math.min(...ends.filter((end) => end > now));
    if (!Number.isFinite(next) || this.parts.signal.aborted) return;
    this.#ending = setTimeout(() => this.runner.mark(), Math.min(next - now, LONGEST_TIMER));
    this.#ending.unref();
  }

  /** Leases last a third of a lease at least beyond the next renewal, so a late one ends nothing. */
  #renewLater(): void {
    clearTimeout(this.#renewal);
    const { datapath, signal } = this.parts;
    const { interval } = datapath.leases;
    if (interval === undefined || signal.aborted) return;
    this.#renewal = setTimeout(() => {
      try {
        if (!signal.aborted) datapath.leases.renew();
      } catch (error) {
        this.#failed(error as Error);
      }
      this.#renewLater();
    }, interval);
    this.#renewal.unref();
  }

  /** A pass that broke off: what is in force is what was before, and the status says so. */
  #failed({ message }: Error): void {
    const failures = [{ object: AGENT, message }];
    this.#view = { ...this.#view, failures };
    this.#report(failures, 0);
  }

  /** Sources that are hindered, each once, and when that is over. */
  #tellTroubles(): void {
    const { log, manifests } = this.parts;
    const troubles = manifests?.troubles() ?? [];
    for (const { object, message } of troubles) {
      if (!this.#hindered.includes(object)) log.warn({ object, message }, "a source is hindered");
    }
    const now = troubles.map(({ object }) => object);
    for (const object of this.#hindered) {
      if (!now.includes(object)) log.info({ object }, "a source is no longer hindered");
    }
    this.#hindered = now;
  }

  /** A line per change, not per pass. */
  #report(failures: readonly Failure[], writes: number): void {
    const { log } = this.parts;
    if (writes > 0) log.info({ writes, ms: Math.round(this.passSeconds * 1000) }, "state applied");
    const now = JSON.stringify(failures);
    if (now === this.#reported) return;
    this.#reported = now;
    for (const failure of failures) log.warn(failure, "not in force; trying again");
    if (failures.length === 0) log.info("everything is in force");
  }

  #warn(warnings: readonly Failure[]): void {
    const now = JSON.stringify(warnings);
    if (now === this.#warned) return;
    this.#warned = now;
    for (const warning of warnings) this.parts.log.warn(warning, "in force, but not as good as it should be");
  }
}
