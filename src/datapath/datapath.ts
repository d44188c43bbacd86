import { cpus } from "node:os";
import type { NetworkNews } from "../kernel/index.ts";
import type { Delta } from "../model/document.ts";
import type { Outcome } from "../model/outcomes.ts";
import { RECIRC, SHAPE, SPLIT } from "../model/panel.ts";
import { Attachments } from "./attachments.ts";
import { Backoff } from "./backoff.ts";
import { Devices } from "./devices.ts";
import { Fault, outcomeOf } from "./fault.ts";
import { Instances } from "./instances.ts";
import { Leases, systemClocks } from "./leases.ts";
import { Links } from "./links.ts";
import type { NameKind } from "./names.ts";
import { Outcomes } from "./outcomes.ts";
import type { DatapathParts, PanelParts } from "./parts.ts";
import { Ports } from "./ports.ts";
import { isQueueing } from "./queues.ts";
import { Routes } from "./routes.ts";
import { RowTable } from "./row-table.ts";
import { Scrub } from "./scrub.ts";
import { Senders } from "./senders.ts";
import { Shapers } from "./shapers.ts";
import { Steering } from "./steering.ts";
import type { UserPrograms } from "./user-programs.ts";

const NOTHING: Delta = { instances: [], ports: [], links: [], routes: [], shapers: [], leases: [], rows: [] };
/** How many items of a kind one slice compares with the kernel. */
const SLICE = { attachments: 32, links: 64, ports: 128 } as const;

/**
 * Applies a document to this network namespace, incrementally: links, shapers, rows, hops, attachments, routes. An item
 * that fails affects only itself: it is reported as an outcome of its owner and retried.
 */
export class Datapath {
  readonly panel: PanelParts;
  readonly outcomes: Outcomes;
  readonly devices: Devices;
  readonly leases: Leases;
  readonly programs: UserPrograms;
  readonly #parts: DatapathParts;
  readonly #links: Links;
  readonly #instances: Instances;
  readonly #ports: Ports;
  readonly #attachments: Attachments;
  readonly #shapers: Shapers;
  readonly #routes: Routes;
  readonly #senders: Senders;
  readonly #steering: Steering;
  readonly #rows: ReadonlyMap<string, RowTable>;
  /** Far ends of the pairs in which packets wait, with their owners. */
  readonly #delayed = new Map<string, string>();
  /** Steps of the last pass that threw. */
  readonly #broken = new Set<string>();
  readonly #brokenRetry: Backoff;
  /** All wanted items are known, so unwanted ones are removed. */
  #isSweeping = false;
  #isSwept = false;
  #hasOldPanels = true;
  /** The kernel reported a change that no pass has handled yet. */
  #isDoubted = false;
  /** Devices that lost their queues since the last pass. */
  readonly #unqueued = new Set<string>();
  readonly #scrub: Scrub;

  constructor(parts: DatapathParts) {
    const { panel, network, clocks = systemClocks } = parts;
    const now = () => Number(clocks.monotonic() / 1_000_000n);
    this.#parts = parts;
    this.panel = panel;
    this.programs = parts.programs;
    const { names } = panel;
    const outcomes = new Outcomes(parts.owner, now);
    const devices = new Devices(network);
    const links = new Links(network, devices, outcomes, now);
    const instances = new Instances(names, parts.programs, outcomes, now);
    const attachments = new Attachments(parts.attacher, outcomes, now);
    const shared = { names, instances, devices, links, attachments, outcomes, now };
    const scope = {
      names,
      has: (kind: NameKind, name: string): boolean => this.#has(kind, name),
      ifindex: (device: string): number | undefined => devices.ifindex(device),
    };
    this.outcomes = outcomes;
    for (const { object, message } of panel.lost) {
      const told = { code: "degraded", severity: "warning", message: `${object}: ${message}` } as const;
      outcomes.set(`lost ${object}`, { owner: outcomes.node, ...told });
    }
    this.devices = devices;
    this.#links = links;
    this.#instances = instances;
    this.#attachments = attachments;
    this.#ports = new Ports({ ...shared, table: parts.ports });
    this.#shapers = new Shapers(SHAPE, network, devices, names, outcomes, now);
    this.#routes = new Routes(network, devices, outcomes, now);
    this.#senders = new Senders(network, links, outcomes, now);
    this.#steering = new Steering(outcomes, (device) => network.steer(device));
    this.leases = new Leases(panel.table("weir_leases"), (name) => instances.get(name)?.id, outcomes, clocks);
    const table = (name: string) => new RowTable(panel.table(name), scope, outcomes, now);
    this.#rows = new Map(parts.tables.map((name) => [name, table(name)]));
    this.#brokenRetry = new Backoff(now);
    this.#scrub = new Scrub(this.#slices(), [
      [links, SLICE.links],
      [this.#ports, SLICE.ports],
      [attachments, SLICE.attachments],
    ]);
  }

  /** The number of items that are not in force, or not known to be. */
  get pending(): number {
    const waiting = this.#all().reduce((sum, part) => sum + part.waiting, 0);
    return waiting + this.#broken.size + (this.#isDoubted ? 1 : 0);
  }

  /** ms until a pass is due without a change; undefined: none is. */
  get retryIn(): number | undefined {
    if (this.#isDoubted) return 0;
    const times = [...this.#all().map(({ retry }) => retry.left), this.#brokenRetry.left, this.#shapers.drainsIn];
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** The number of rows in functions' maps. */
  get rows(): number {
    return [...this.#rows.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Applies changes, and retries failed items that are due. The order keeps packets flowing: an item exists before any
   * row that refers to it, and is removed after it. If it throws, it may be called again with the same changes.
   * @param options.whole the changes are everything that is wanted: other items of Weir's are removed from the kernel
   */
  apply(delta: Delta = NOTHING, { whole = false } = {}): { writes: number } {
    const before = this.#writes();
    this.#isSweeping ||= whole;
    this.#take(delta);
    this.#isDoubted = false;
    this.#unqueued.clear();
    this.#step("devices", () => this.devices.refresh());
    this.#follow();
    for (const part of this.#all()) if (part.retry.isDue) part.tryAgain();
    this.#pass();
    return { writes: this.#writes() - before };
  }

  #pass(): void {
    const sweep = this.#isSweeping;
    const ifindexOf = (device: string) => this.devices.ifindex(device);
    this.#step("links", () => this.#links.ensure());
    this.#follow();
    this.#step("steering", () => this.#steering.ensure(this.#queueEnds(), ifindexOf));
    this.#step("shapers", () => this.#shapers.raise(sweep));
    this.#step("instances", () => this.#instances.ensure());
    const placed = this.#instances.takeChanged();
    this.#ports.follow("instance", placed);
    this.leases.follow(placed);
    for (const [name, rows] of this.#rows) this.#step(`table ${name}`, () => rows.add());
    this.#step("lower shapers", () => this.#shapers.lower());
    this.#step("leases", () => this.leases.ensure());
    const isPlaced = this.#step("panel", () => this.#ports.ensure(this.#config()));
    this.#step("attachments", () => this.#attachments.ensure(ifindexOf, sweep));
    this.#step("activate links", () => this.#links.activate(this.#attachments.isGuarded));
    this.#step("senders", () => this.#senders.ensure(ifindexOf));
    this.#step("routes", () => this.#routes.ensure(sweep));
    if (isPlaced) this.#remove(sweep);
    this.#follow();
    if (this.#broken.size === 0) this.#brokenRetry.clear();
    else if (this.#brokenRetry.isDue || this.#brokenRetry.left === undefined) this.#brokenRetry.fail(false);
  }

  #remove(sweep: boolean): void {
    const isDone = [
      ...[...this.#rows].map(([name, rows]) => this.#step(`rows of ${name}`, () => rows.remove(sweep))),
      this.#step("programs", () => this.#instances.prune(sweep)),
      this.#step("drained shapers", () => this.#shapers.prune()),
      this.#step("gone links", () => this.#links.prune(sweep)),
      this.#step("names", () => this.#releaseNames(sweep)),
    ];
    if (isDone.includes(false)) return;
    this.#isSwept ||= sweep;
    this.#isSweeping = false;
    if (!this.#isSwept || !this.#hasOldPanels || this.#attachments.waiting > 0) return;
    const isDropped = this.#step("old panels", () => {
      this.panel.dropOldPanels(() => !isQueueing(this.#parts.network));
    });
    this.#hasOldPanels = !isDropped || this.panel.hasOldPanels;
  }

  #take(delta: Delta): void {
    for (const change of delta.instances) this.#instances.take(change);
    for (const change of delta.links) this.#takeLink(change);
    for (const change of delta.ports) this.#ports.take(change);
    for (const change of delta.routes) this.#routes.take(change);
    for (const change of delta.shapers) {
      this.#shapers.take(change);
      this.#senders.take(change);
    }
    for (const change of delta.leases) this.leases.take(change);
    for (const change of delta.rows) this.#takeRow(change);
    const named = [...delta.instances, ...delta.ports, ...delta.shapers];
    if (named.some(({ gone }) => !gone)) for (const { retry } of this.#rows.values()) retry.hurry();
  }

  #takeLink(change: Delta["links"][number]): void {
    const { owner, item, gone } = change;
    const resumes = !gone && item.kind === "pair" && item.resume;
    this.#links.take(change);
    this.#attachments.ask(`link ${item.device}`, owner, resumes ? [[item.other, "resume"]] : []);
    if (item.kind !== "pair") this.#senders.follow([item.device]);
    else if (!gone && item.qdisc) this.#delayed.set(item.other, owner);
    else this.#delayed.delete(item.other);
  }

  #takeRow(change: Delta["rows"][number]): void {
    const { owner, item, gone } = change;
    const table = this.#rows.get(item.table);
    if (table) {
      table.take(change);
      return;
    }
    const fault = new Fault("missing", `write row: no function that is loaded has table ${item.table}`);
    this.outcomes.set(`row ${item.table} ${owner}`, gone ? undefined : outcomeOf(owner, fault));
  }

  /** Marks everything that depends on changed devices. */
  #follow(): void {
    const { all, replaced } = this.devices.takeChanged();
    if (all.size > 0) {
      this.#links.follow(all);
      this.#routes.follow(all);
      this.#shapers.follow(all);
    }
    if (replaced.size === 0) return;
    this.#ports.follow("device", replaced);
    this.#attachments.follow(replaced);
    this.#senders.follow(replaced);
    for (const rows of this.#rows.values()) rows.follow(replaced);
  }

  /**
   * Takes in a notification from the kernel. Returns true if a pass is needed because an item of Weir's may have
   * changed.
   */
  noticed(news: NetworkNews): boolean {
    const isDoubtful = this.#doubts(news);
    this.#isDoubted ||= isDoubtful;
    return isDoubtful;
  }

  #doubts(news: NetworkNews): boolean {
    if (news.kind === "link") return this.devices.noticed(news);
    if (news.kind === "route" || news.kind === "address") return this.#routes.noticed(news);
    if (news.kind === "lost") {
      this.devices.doubtAll();
      this.#links.doubtAll();
      this.#routes.doubt();
      this.#shapers.doubt();
      return true;
    }
    const device = this.devices.nameOf(news.ifindex);
    const link = this.#links.get(device)?.item;
    if (news.kind === "class" && !(device === SHAPE.device && this.#shapers.holds(news.handle))) return false;
    if (device === SHAPE.device) this.#shapers.doubt();
    else if (link?.kind === "pair" && link.qdisc && link.device === device) this.#links.doubt(device);
    else return false;
    this.#unqueued.add(device);
    return true;
  }

  /** What others removed or changed since the last pass, by the kernel's notifications. */
  lost(): readonly Outcome[] {
    if (!this.#isDoubted) return [];
    const queues = [...this.#unqueued].map((device) => {
      const owner = this.#links.get(device)?.owner ?? this.outcomes.node;
      return { owner, message: `queues of device ${device} were removed` };
    });
    const told = [...this.#links.lost(this.devices.doubtful), ...this.#routes.lost(), ...queues];
    return told.map(({ owner, message }) => ({ owner, code: "lost", severity: "error", message }));
  }

  /** Has the next pass restore a device completely, although no notification says that anything was lost. */
  doubt(device: string): void {
    this.#links.doubt(device);
  }

  /**
   * Compares the next slice of what is in force with the kernel, and repairs it. `done`: this was the last slice, and
   * the next call starts again.
   */
  scrub(): { writes: number; done: boolean } {
    const before = this.#writes();
    this.#step("scrub", () => this.#scrub.next());
    this.apply();
    return { writes: this.#writes() - before, done: this.#scrub.isDone };
  }

  /** ms between two slices with which all is compared within a minute. */
  get scrubEvery(): number {
    return this.#scrub.every;
  }

  #slices(): (() => void)[] {
    return [
      () => {
        this.devices.prune((device) => this.#names(device));
        this.devices.doubtAll();
      },
      () => this.#routes.doubt(),
      () => {
        this.#shapers.shrink();
        this.#shapers.doubt();
        this.#steering.doubt();
      },
      ...[...this.#rows.values()].map((rows) => () => rows.scrub()),
      () => this.panel.names.scrub(),
      () => {
        this.#instances.doubt();
        this.panel.scrub();
      },
    ];
  }

  #names(device: string): boolean {
    if (this.#ports.names(device) || this.#routes.names(device) || this.#links.get(device)) return true;
    return [...this.#rows.values()].some((rows) => rows.names(device));
  }

  #has(kind: NameKind, name: string): boolean {
    if (kind === "port") return this.#ports.has(name);
    if (kind === "instance") return this.#instances.has(name);
    if (kind === "tunnel") return true; // a tunnel only needs its row, which is an item of its own
    return kind === "shaper" && this.#shapers.has(name);
  }

  /** Devices that receive packets from queues, with their owners. */
  #queueEnds(): ReadonlyMap<string, string> {
    const ends = new Map(this.#delayed);
    if (this.#shapers.size > 0) ends.set(SHAPE.other, this.#links.get(SHAPE.other)?.owner ?? this.outcomes.node);
    return ends;
  }

  #config() {
    return {
      recirc: this.devices.ifindex(RECIRC.device) ?? 0,
      split: this.devices.ifindex(SPLIT.device) ?? 0,
      processors: cpus().length,
    };
  }

  /** Releases the ids of names that are no longer used. Counters of an id are reset before it is reused. */
  #releaseNames(sweep: boolean): void {
    const { names } = this.panel;
    const ports = names.unheld("port", sweep);
    this.panel.forgetPorts(ports.map(({ id }) => id));
    const instances = names.unheld("instance", sweep);
    for (const name of instances.length === 0 ? [] : [...this.#parts.state, "weir_leases"]) {
      const table = this.panel.table(name);
      table.remove(instances.map(({ id }) => table.key.encode({ instance: id })));
    }
    const others = [...names.unheld("shaper", sweep), ...names.unheld("tunnel", sweep)];
    const gone = [...ports, ...instances, ...others];
    names.release(gone);
    if (gone.length > 0) for (const { retry } of this.#all()) retry.hurry();
  }

  #all() {
    const { leases } = this;
    const parts = [this.#links, this.#instances, this.#ports, this.#attachments, this.#shapers, this.#routes];
    return [...parts, this.#senders, leases, ...this.#rows.values()];
  }

  #writes(): number {
    const others = [this.#links, this.#attachments, this.#shapers, this.#senders, this.#routes];
    return others.reduce((sum, { writes }) => sum + writes, this.panel.writes - this.leases.writes);
  }

  /** Runs one step of a pass. A step that throws does not stop the others. Returns false if it threw. */
  #step(name: string, work: () => void): boolean {
    const item = `step ${name}`;
    try {
      work();
      this.#broken.delete(item);
      this.outcomes.set(item, undefined);
      return true;
    } catch (error) {
      const { code, severity, owner } = outcomeOf(this.outcomes.node, error);
      const outcome: Outcome = { owner, code, severity, message: `${name}: ${(error as Error).message}` };
      this.#broken.add(item);
      this.outcomes.set(item, outcome);
      return false;
    }
  }
}
