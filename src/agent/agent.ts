import { Planner } from "../authors/planner.ts";
import type { Datapath } from "../datapath/datapath.ts";
import { MAX_CHAIN } from "../datapath/layout.ts";
import type { Panel } from "../datapath/panel.ts";
import type { NetworkNews } from "../kernel/index.ts";
import type { NodeContext } from "../model/cluster.ts";
import type { RuleSettings } from "../model/limits.ts";
import type { Node, Problem } from "../model/objects.ts";
import { Runner } from "../reconcile/runner.ts";
import type { AppliedObject, AppliedStore } from "../sources/applied.ts";
import type { EndpointStore } from "../sources/endpoints.ts";
import type { LastGoodFile } from "../sources/last-good.ts";
import type { ManifestWatch } from "../sources/manifests/index.ts";
import type { HostFinder } from "./hosts.ts";
import { Knowledge } from "./knowledge.ts";
import type { Logger } from "./log.ts";
import type { Programs, Resolution } from "./programs.ts";
import { Report } from "./report.ts";
import { Standing } from "./standing.ts";
import type { TapFinder } from "./taps.ts";

export interface AgentParts {
  node: NodeContext;
  settings: RuleSettings;
  manifests: ManifestWatch | undefined;
  endpoints: EndpointStore;
  lastGood: LastGoodFile;
  applied: AppliedStore;
  panel: Panel;
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

/** What the kernel tells of is looked at this soon, ms: a pod that sets its device up and down causes no more than that. */
const NEWS_EVERY = 200;

/** Other networks' devices and host-network pods' cgroups are looked at this often, ms. */
const LOOK_EVERY = 1000;

/** A slice of what is in force is compared with the kernel this often, ms: all of it within a minute. */
const SCRUB_EVERY = 2000;

/** What setTimeout can wait, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * One node: sources → store → authors → document → delta → datapath, over and over. Events tell what changed; passes do the
 * work.
 */
export class Agent {
  readonly parts: AgentParts;
  readonly planner: Planner;
  readonly runner: Runner;
  /** What became of objects and rules. */
  readonly standing: Standing;
  readonly startedAt = new Date();
  /** Passes that applied changes. */
  generation = 0;
  reconciledAt: Date | undefined;
  /** How long the last pass took, seconds. */
  passSeconds = 0;
  /** Told how long each pass took, seconds. */
  onPass: (seconds: number) => void = () => {};
  writes = 0;
  readonly #knowledge: Knowledge;
  readonly #report: Report;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** ms since the epoch at which something of what is known ends. */
  #endsAt: number | undefined;

  constructor(parts: AgentParts) {
    const { node, settings, signal, log } = parts;
    this.parts = parts;
    this.planner = new Planner({ node, settings, maxChain: MAX_CHAIN, now: Date.now() });
    this.#knowledge = new Knowledge(parts, this.planner);
    this.standing = new Standing(parts, this.planner, this.#knowledge);
    this.#report = new Report(log);
    this.runner = new Runner({
      signal,
      pass: async () => {
        if (this.generation === 0 && this.synced) await this.#knowledge.firstBuilds();
        return this.#pass();
      },
      onError: (error) => this.#failed(error as Error),
    });
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** Every source has told all that it knew: nothing is planned, or removed, before that. */
  get synced(): boolean {
    return this.#knowledge.synced;
  }

  /** Version of the node's own object that the last pass has seen. */
  get observedVersion(): string | undefined {
    return this.#knowledge.observedVersion;
  }

  /** What acts of users' programs. */
  get programs(): Resolution {
    return this.#knowledge.programs;
  }

  /** Every source has told all that it knew. */
  start(): void {
    this.#knowledge.readAll();
    this.#scrubLater();
    this.#lookAgain();
    this.runner.mark();
  }

  /** Objects of the source changed: `Kind/namespace/name` each; none: only what is wrong with them. */
  changed(keys: Iterable<string>): void {
    if (!this.synced) return;
    this.#knowledge.changed(keys);
    this.runner.mark();
  }

  /** Users' programs may be others, or built by now. */
  programsChanged(): void {
    this.#knowledge.programsChanged();
    this.runner.mark();
  }

  /** What would be wrong if these were applied beside what is. Programs of rules are not looked at. */
  foresee(changes: readonly AppliedObject[]): readonly Problem[] {
    return this.#knowledge.foresee(changes);
  }

  /** The kernel told of a change: a pass follows if something is not as the last one left it. */
  noticed(news: NetworkNews): void {
    if (!this.synced) return;
    const { datapath } = this.parts;
    const isOwn = news.kind === "link" && news.device.name === this.planner.node.uplink;
    const mayMove = isOwn || news.kind === "address" || news.kind === "lost";
    if (mayMove) this.#knowledge.doubtNode();
    if (!datapath.noticed(news) && !mayMove) return;
    if (this.#timers.has("news")) return;
    this.#after("news", NEWS_EVERY, () => {
      const hasMoved = this.#knowledge.hasMoved();
      if (hasMoved || datapath.pending > 0) this.runner.mark();
    });
  }

  /** Number of items that are not in force. */
  #pass(): number {
    if (!this.synced) return 0;
    const begin = performance.now();
    const { datapath } = this.parts;
    this.standing.begin();
    this.#endsAt = this.#knowledge.follow(Date.now());
    const { writes } = datapath.apply(this.planner.take(), { whole: this.generation === 0 });
    try {
      this.#knowledge.save(); // last: a full disk must not keep a limit from being in force
    } catch (error) {
      this.standing.failed("last good rules", error as Error);
    }
    this.writes += writes;
    this.generation++;
    this.reconciledAt = new Date();
    this.passSeconds = (performance.now() - begin) / 1000;
    this.#schedule();
    this.onPass(this.passSeconds);
    const failures = this.standing.failures();
    this.#report.applied(writes, this.passSeconds);
    this.#report.standing(failures, this.standing.warnings());
    this.#report.troubles(this.parts.manifests?.troubles() ?? []);
    return failures.length;
  }

  /** A pass that broke off: what is in force is what was before, and the status says so. */
  #failed(error: Error): void {
    this.standing.brokeOff(error);
    this.#report.standing(this.standing.failures(), []);
  }

  /** What is to be done though no event tells of it. */
  #schedule(): void {
    const { datapath } = this.parts;
    const pass = () => this.runner.mark();
    const ends = [this.#endsAt, this.planner.store.wakeAt].filter((at) => at !== undefined);
    if (ends.length > 0) this.#after("end", Math.min(...ends) - Date.now(), pass);
    if (datapath.retryIn !== undefined) this.#after("retry", datapath.retryIn, pass);
    this.#renewLater();
  }

  /** Leases last a third of a lease at least beyond the next renewal, so a late one ends nothing. */
  #renewLater(): void {
    const { leases } = this.parts.datapath;
    if (leases.interval === undefined) return;
    this.#after("renewal", leases.interval, () => {
      try {
        leases.renew();
      } catch (error) {
        this.#failed(error as Error);
      }
      this.#renewLater();
    });
  }

  /** What others broke without a word is mended. */
  #scrubLater(): void {
    this.#after("scrub", SCRUB_EVERY, () => {
      try {
        this.writes += this.parts.datapath.scrub().writes;
        if (this.parts.datapath.pending > 0) this.runner.mark();
      } catch (error) {
        this.#failed(error as Error);
      }
      this.#scrubLater();
    });
  }

  #lookAgain(): void {
    this.#after("look", LOOK_EVERY, () => {
      if (this.#knowledge.isStale()) this.runner.mark();
      this.#lookAgain();
    });
  }

  /** Later, in the place of what was to be done under this name. */
  #after(name: string, ms: number, work: () => void): void {
    clearTimeout(this.#timers.get(name));
    if (this.parts.signal.aborted) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(name);
        work();
      },
      Math.min(Math.max(0, ms), LONGEST_TIMER),
    );
    timer.unref();
    this.#timers.set(name, timer);
  }

  #stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
