import type { NodeContext } from "../model/cluster.ts";
import type { Delta } from "../model/document.ts";
import { DEFAULT_RULE_SETTINGS, type RuleSettings } from "../model/limits.ts";
import type { Problem } from "../model/objects.ts";
import type { Outcome } from "../model/outcomes.ts";
import { Composer } from "../reconcile/composer.ts";
import { Store } from "../store/store.ts";
import { BoundNodes } from "./claims.ts";
import { Cluster, NODE } from "./cluster.ts";
import { type Document, declareAuthors } from "./document.ts";
import { Rules } from "./rules.ts";
import { idleImpairments, inOrder, overruledProblemsOf } from "./unheard.ts";

export interface PlannerOptions {
  node: NodeContext;
  settings?: RuleSettings | undefined;
  /** Functions that one chain holds. */
  maxChain: number;
  /** ms since the epoch. */
  now?: number | undefined;
}

/**
 * From what is known of the cluster to the node's document, change by change. Pure but for what it remembers, and what it
 * remembers is what it would come to from nothing.
 */
export class Planner {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly rules: Rules;
  /** Nodes with what is taken of their claims. */
  readonly nodes: BoundNodes;
  readonly ports: Document["ports"];
  readonly composer: Composer;
  readonly #document: Document;
  /** Keys whose fragments changed, by author. */
  readonly #changed = new Map<string, Set<string>>();
  /** Names of the fragments that each author has of a key. */
  readonly #parts = new Map<string, readonly string[]>();
  /** Objects whose rules were read since they were last remembered, as `lastGood` names them. */
  readonly #read = new Set<string>();
  #now: number;

  constructor({ node, settings = DEFAULT_RULE_SETTINGS, maxChain, now = 0 }: PlannerOptions) {
    const store = new Store(now);
    this.#now = now;
    this.store = store;
    this.cluster = new Cluster(store, node.name, settings);
    const { cluster } = this;
    this.nodes = store.step(
      "bound nodes",
      (place) => new BoundNodes("bound nodes", place, cluster.node, cluster.nodes),
    );
    this.rules = new Rules(store, cluster, settings);
    this.#document = declareAuthors(store, this);
    this.ports = this.#document.ports;
    this.composer = new Composer({ authors: [...this.#document.authors.keys()], maxChain });
    for (const [author, fragments] of this.#document.authors) {
      const changed = new Set<string>();
      this.#changed.set(author, changed);
      fragments.watch(({ key }) => changed.add(key));
    }
    this.rules.readings.watch(({ key }) => this.#read.add(key));
    this.rules.serviceReadings.watch(({ key }) => this.#read.add(`${SERVICE}${key}`));
    cluster.node.set(NODE, node);
  }

  /** What the agent knows of its own node. */
  get node(): NodeContext {
    return this.cluster.node.get(NODE) as NodeContext;
  }

  /** Plans what changed, at this time (ms since the epoch). What is to be remembered of rules is remembered. */
  settle(now: number): void {
    this.foresee(now);
    if (this.#remember()) this.store.settle(now);
  }

  /** Plans what changed as `settle` does, but remembers nothing: for changes that are taken back before it. */
  foresee(now: number): void {
    this.#now = now;
    this.store.settle(now);
  }

  /** Forgets last good rules of which nothing is left, once every source has told all that it knew. */
  forgetLost(): void {
    for (const key of this.cluster.lastGood.keys()) this.#read.add(key);
  }

  /** What of the document changed since the last time. */
  take(): Delta {
    for (const [author, changed] of this.#changed) {
      for (const key of changed) this.#compose(author, key);
      changed.clear();
    }
    return this.composer.take();
  }

  /** What is wrong with objects, and what of them has no place in the document. */
  problems(): Problem[] {
    const { store, nodes, cluster, rules } = this;
    const told = [...store.problems()];
    const others = cluster.others.keys().flatMap((key) => cluster.others.get(key) ?? []);
    const claims = [...nodes.problems.keys()].sort().flatMap((key) => nodes.problems.get(key) ?? []);
    const overruled = overruledProblemsOf(rules);
    const idle = idleImpairments(inOrder(rules.impairments), { fq: this.node.fq, now: this.#now, told });
    return distinct([...told, ...overruled, ...idle, ...others, ...claims]);
  }

  /** What of the document another has, or has no place. */
  outcomes(): Outcome[] {
    return this.composer.outcomes();
  }

  /** The object for which an item is there, `Kind/namespace/name`. `owner`: as changes and outcomes name it. */
  objectOf(owner: string): string | undefined {
    return this.composer.objectOf(owner);
  }

  /** Remembers what was read; true if that is news. */
  #remember(): boolean {
    const { lastGood } = this.cluster;
    let isNews = false;
    for (const key of this.#read) {
      const reading = key.startsWith(SERVICE)
        ? this.rules.serviceReadings.get(key.slice(SERVICE.length))
        : this.rules.readings.get(key);
      const remembered = reading?.remembered;
      isNews = (remembered ? lastGood.set(key, remembered) : lastGood.delete(key)) || isNews;
    }
    this.#read.clear();
    return isNews;
  }

  #compose(author: string, key: string): void {
    const id = `${author} ${key}`;
    const fragments = this.#document.authors.get(author)?.get(key);
    for (const part of this.#parts.get(id) ?? []) {
      if (!fragments?.has(part)) this.composer.set(author, `${key} ${part}`, undefined);
    }
    for (const [part, fragment] of fragments ?? []) this.composer.set(author, `${key} ${part}`, fragment);
    if (fragments) this.#parts.set(id, [...fragments.keys()]);
    else this.#parts.delete(id);
  }
}

/** Of a Service's last good rules: no namespace has a capital letter. */
const SERVICE = "Service/";

/** One Service may say the same of a hundred pods. */
const distinct = (problems: readonly Problem[]): Problem[] => [
  ...new Map(problems.map((one) => [`${one.object} ${one.path} ${one.message}`, one])).values(),
];
