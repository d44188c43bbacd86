import { Planner } from "../authors/planner.ts";
import { MAX_CHAIN } from "../datapath/layout.ts";
import type { NetworkNews } from "../kernel/index.ts";
import type { Problem } from "../model/problem.ts";
import { Runner } from "../reconcile/runner.ts";
import type { AppliedObject } from "../sources/applied.ts";
import { Knowledge } from "./knowledge.ts";
import type { AgentParts } from "./parts.ts";
import type { Resolution } from "./programs.ts";
import { Report } from "./report.ts";
import { Standing } from "./standing.ts";

/**
 * Delay from a notification of the kernel to the pass it causes, ms. It bounds the cost of a pod that sets its device
 * up and down in a loop.
 */
const NEWS_EVERY = 200;

/**
 * Interval at which everything is compared again if the kernel keeps dropping notifications, ms: it costs a look into
 * each pod's namespace, and a routing daemon may change a million routes.
 */
const LOST_EVERY = 2000;

/** Interval at which other networks' devices and host pods' cgroups are checked, ms. */
const LOOK_EVERY = 1000;

/** Maximum delay of setTimeout, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * One node's agent: sources, store, authors, document, delta, datapath. Events only mark what changed; passes do the
 * work.
 */
export class Agent {
  readonly parts: AgentParts;
  readonly planner: Planner;
  readonly runner: Runner;
  /** Problems of objects, and what is not in force. */
  readonly standing: Standing;
  readonly startedAt = new Date();
  /** Number of passes that applied changes. */
  generation = 0;
  reconciledAt: Date | undefined;
  /** Duration of the last pass, seconds. */
  passSeconds = 0;
  /** Called with the duration of each pass, seconds. */
  onPass: (seconds: number) => void = () => {};
  writes = 0;
  readonly #knowledge: Knowledge;
  readonly #report: Report;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Notifications were dropped since the last comparison. */
  #isLost = false;
  /** The next time at which the plan changes by itself, ms since the epoch. */
  #changesAt = Number.POSITIVE_INFINITY;

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

  /** All sources have synced. Nothing is planned or removed before that. */
  get synced(): boolean {
    return this.#knowledge.synced;
  }

  /** resourceVersion of the own Node object in the last pass. */
  get observedVersion(): string | undefined {
    return this.#knowledge.observedVersion;
  }

  /** Users' programs in force, and those being built. */
  get programs(): Resolution {
    return this.#knowledge.programs;
  }

  /** Call it once all sources have synced. */
  start(): void {
    this.#knowledge.readAll();
    this.#scrubLater();
    this.#lookAgain();
    this.runner.mark();
  }

  /** Marks objects of the source (`Kind/namespace/name`) as changed; none: only the source's problems changed. */
  changed(keys: Iterable<string>): void {
    if (!this.synced) return;
    this.#knowledge.changed(keys);
    this.runner.mark();
  }

  /** Users' programs or their builds may have changed. */
  programsChanged(): void {
    this.#knowledge.programsChanged();
    this.runner.mark();
  }

  /** Returns the problems there would be if these changes were applied. Users' programs are not checked. */
  preview(changes: readonly AppliedObject[]): readonly Problem[] {
    return this.#knowledge.preview(changes);
  }

  /** Takes in a notification of the kernel. Requests a pass if an item of Weir's may have changed. */
  noticed(news: NetworkNews): void {
    if (!this.synced) return;
    if (news.kind === "lost" && this.#isLater()) return;
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

  /** Whether dropped notifications are handled later, since some were a moment ago. */
  #isLater(): boolean {
    if (this.#timers.has("lost")) {
      this.#isLost = true;
      return true;
    }
    this.#isLost = false;
    this.#after("lost", LOST_EVERY, () => {
      if (this.#isLost) this.noticed({ kind: "lost" });
    });
    return false;
  }

  /** Returns the number of items that are not in force. */
  #pass(): number {
    if (!this.synced) return 0;
    const begin = performance.now();
    const { datapath } = this.parts;
    this.standing.begin();
    const endsAt = this.#knowledge.follow(Date.now());
    const { writes } = datapath.apply(this.planner.take(), { whole: this.generation === 0 });
    try {
      this.#knowledge.save(); // last: a full disk must not prevent limits from being in force
    } catch (error) {
      this.standing.failed("last good rules", error as Error);
    }
    this.writes += writes;
    this.generation++;
    this.reconciledAt = new Date();
    this.passSeconds = (performance.now() - begin) / 1000;
    this.#schedule(endsAt);
    this.onPass(this.passSeconds);
    const failures = this.standing.failures();
    this.#report.applied(writes, this.passSeconds);
    this.#report.standing(failures, this.standing.warnings());
    this.#report.troubles(this.parts.manifests?.troubles() ?? []);
    return failures.length;
  }

  /** Handles a pass that threw: the old state stays in force, and the status shows the error. */
  #failed(error: Error): void {
    this.standing.brokeOff(error);
    this.#report.standing(this.standing.failures(), []);
  }

  /** Sets timers for work that no event triggers. */
  #schedule(endsAt: number | undefined): void {
    const { datapath } = this.parts;
    const pass = () => this.runner.mark();
    const ends = [endsAt, this.planner.store.wakeAt].filter((at) => at !== undefined);
    this.#changesAt = Math.min(...ends);
    if (ends.length > 0) this.#after("end", this.#changesAt - Date.now(), pass);
    if (datapath.retryIn !== undefined) this.#after("retry", datapath.retryIn, pass);
    this.#renewLater();
  }

  /** Renews the leases. They are renewed early enough that a late renewal does not end any. */
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

  /** Repairs, slice by slice, what others changed without a notification. */
  #scrubLater(): void {
    const { datapath } = this.parts;
    this.#after("scrub", datapath.scrubEvery, () => {
      try {
        const { revision } = datapath.outcomes;
        this.writes += datapath.scrub().writes;
        if (datapath.outcomes.revision !== revision) this.runner.mark();
      } catch (error) {
        this.#failed(error as Error);
      }
      this.#scrubLater();
    });
  }

  #lookAgain(): void {
    this.#after("look", LOOK_EVERY, () => {
      const isLate = this.#changesAt <= Date.now(); // timers do not follow a clock that is set ahead
      if (this.#knowledge.isStale() || isLate) this.runner.mark();
      this.#lookAgain();
    });
  }

  /** Schedules work, and replaces what was scheduled under the same name. */
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
