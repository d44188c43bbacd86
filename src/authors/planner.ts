import type { Delta } from "../model/document.ts";
import { DEFAULT_RULE_SETTINGS, type RuleSettings } from "../model/limits.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { Outcome } from "../model/outcomes.ts";
import type { Problem } from "../model/problem.ts";
import { Composer } from "../reconcile/composer.ts";
import { Store } from "../store/store.ts";
import { BoundNodes } from "./claims.ts";
import { Cluster, NODE } from "./cluster.ts";
import { type Document, declareAuthors } from "./document.ts";
import { idleImpairments, inOrder, overruledProblemsOf } from "./ineffective.ts";
import { Rules } from "./rules.ts";

export interface PlannerOptions {
  node: NodeContext;
  settings?: RuleSettings | undefined;
  /** The most functions that one chain can hold. */
  maxChain: number;
  /** ms since the epoch. */
  now?: number | undefined;
}

/**
 * Plans the node's document from the cluster's collections, incrementally. Its only state of its own is `lastGood`; the
 * result always equals that of planning from nothing with the same `lastGood`.
 */
export class Planner {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly rules: Rules;
  /** Nodes with their accepted claims. */
  readonly nodes: BoundNodes;
  readonly ports: Document["ports"];
  readonly composer: Composer;
  readonly #document: Document;
  /** Keys whose fragments changed since the last `take`, by author. */
  readonly #changed = new Map<string, Set<string>>();
  /** Names of the fragments composed so far, by author and key. */
  readonly #parts = new Map<string, readonly string[]>();
  /** Keys of `lastGood` whose rules were read since it was last written. */
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

  /** The agent's own node. */
  get node(): NodeContext {
    return this.cluster.node.get(NODE) as NodeContext;
  }

  /** Plans what changed, and updates `lastGood`. @param now ms since the epoch */
  settle(now: number): void {
    this.preview(now);
    if (this.#remember()) this.store.settle(now);
  }

  /**
   * Plans what changed like `settle`, but does not update `lastGood`: for a dry run, whose changes are reverted
   * afterwards.
   */
  preview(now: number): void {
    this.#now = now;
    this.store.settle(now);
  }

  /**
   * Checks all of `lastGood` at the next `settle`, which removes rows whose object no longer exists. Call it once every
   * source has synced.
   */
  forgetLost(): void {
    for (const key of this.cluster.lastGood.keys()) this.#read.add(key);
  }

  /** The changes of the document since the last call. */
  take(): Delta {
    for (const [author, changed] of this.#changed) {
      for (const key of changed) this.#compose(author, key);
      changed.clear();
    }
    return this.composer.take();
  }

  /** Problems of objects: invalid values, and rules that are not in force or have no effect. */
  problems(): Problem[] {
    const { store, nodes, cluster, rules } = this;
    const told = [...store.problems()];
    const others = cluster.others.keys().flatMap((key) => cluster.others.get(key) ?? []);
    const claims = [...nodes.problems.keys()].sort().flatMap((key) => nodes.problems.get(key) ?? []);
    const overruled = overruledProblemsOf(rules);
    const idle = idleImpairments(inOrder(rules.impairments), { fq: this.node.fq, now: this.#now, told });
    return distinct([...told, ...overruled, ...idle, ...others, ...claims]);
  }

  /** Outcomes of items that lost a conflict or have no place in a chain. */
  outcomes(): Outcome[] {
    return this.composer.outcomes();
  }

  /**
   * The object that an item belongs to, `Kind/namespace/name`. @param owner owner id of the item, as in changes and
   * outcomes
   */
  objectOf(owner: string): string | undefined {
    return this.composer.objectOf(owner);
  }

  /** Updates `lastGood` for the rules read. Returns whether it changed. */
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

/** Prefix of Services' keys in `lastGood`. It cannot be a pod's namespace, which has no capital letters. */
const SERVICE = "Service/";

/** Removes duplicates: the same problem of one Service is reported for each pod that it selects. */
const distinct = (problems: readonly Problem[]): Problem[] => [
  ...new Map([...new Set(problems)].map((one) => [`${one.object} ${one.path} ${one.message}`, one])).values(),
];
