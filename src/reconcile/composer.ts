import {
  type Attachment,
  type ChainDirection,
  type Change,
  type Delta,
  type Document,
  type Fragment,
  type Port,
  type PortSpec,
  portName,
} from "../model/document.ts";
import type { Outcome } from "../model/outcomes.ts";
import { sameValue } from "../model/same.ts";
import { type Claim, Contest, type Held } from "./contest.ts";
import { KINDS } from "./kinds.ts";

export interface ComposerOptions {
  /** Names of the authors in order of precedence: of two that write the same item, the first wins. */
  authors: readonly string[];
  /** The most functions that one chain can hold. */
  maxChain: number;
}

/** The owner id of the items in an author's fragment. */
export const claimOf = (author: string, key: string): string => `${author} ${key}`;

interface Chains {
  ingress: Attachment[];
  egress: Attachment[];
}

/**
 * Composes the authors' fragments into one document, incrementally. Where two fragments have the same item, the earlier
 * author wins; within one author, the smaller key wins. The loser's owner gets a `conflict` outcome, and its item
 * replaces the winner's when that goes. A change costs the items of its fragment and the chains they are in.
 */
export class Composer {
  readonly #orders: ReadonlyMap<string, number>;
  readonly #maxChain: number;
  readonly #claims = new Map<string, Claim>();
  readonly instances = new Contest(KINDS.instances);
  readonly links = new Contest(KINDS.links);
  readonly routes = new Contest(KINDS.routes);
  readonly shapers = new Contest(KINDS.shapers);
  readonly leases = new Contest(KINDS.leases);
  readonly rows = new Contest(KINDS.rows);
  readonly #specs = new Contest(KINDS.ports);
  readonly #attachments = new Contest(KINDS.attach);
  readonly #chains = new Map<string, Chains>();
  readonly #ports = new Map<string, Held<Port>>();
  /** Outcomes of attachments that are in no chain, by port: the port is missing, or its chain is full. */
  readonly #unplaced = new Map<string, Outcome[]>();
  /** Fragments whose items cannot be enumerated, by claim. */
  readonly #refused = new Map<string, { object: string; outcome: Outcome }>();

  constructor({ authors, maxChain }: ComposerOptions) {
    this.#orders = new Map(authors.map((author, order) => [author, order]));
    this.#maxChain = maxChain;
  }

  /** Ports with their chains, by full name (`instance:port`). */
  get ports(): ReadonlyMap<string, Held<Port>> {
    return this.#ports;
  }

  /** The number of items in the document. */
  get size(): number {
    const { instances, links, routes, shapers, leases, rows } = this;
    return [instances, links, routes, shapers, leases, rows, this.#ports].reduce((sum, { size }) => sum + size, 0);
  }

  /** The object that a claim's items belong to, as `Kind/namespace/name`. @param claim owner id of an item */
  objectOf(claim: string): string | undefined {
    return this.#claims.get(claim)?.fragment.owner ?? this.#refused.get(claim)?.object;
  }

  /**
   * Sets the fragment of one key of an author; `undefined` removes it. Its items get the owner `claimOf(author, key)`. If
   * its rows cannot be generated, the old fragment stays, and the owner gets an outcome.
   */
  set(author: string, key: string, after: Fragment | undefined): void {
    const order = this.#orders.get(author);
    if (order === undefined) throw new Error(`compose fragment of ${author}: no such author`);
    const id = claimOf(author, key);
    this.#refused.delete(id);
    try {
      this.#replace(id, order, key, after);
    } catch (error) {
      const object = after?.owner ?? this.objectOf(id) ?? "";
      const message = `plan rows of ${object}: ${(error as Error).message}`;
      this.#refused.set(id, { object, outcome: { owner: id, code: "encode", message, severity: "error" } });
    }
  }

  #replace(id: string, order: number, key: string, after: Fragment | undefined): void {
    const known = this.#claims.get(id);
    if (!known && !after) return;
    const before = known?.fragment;
    const claim = known ?? { id, order, key, fragment: after as Fragment };
    // Contests find items through the claim's fragment. It must stay the old one until every contest has been updated.
    // Rows are first: only they are generated, so if that fails, nothing has changed yet.
    const contests = [
      this.rows,
      this.instances,
      this.links,
      this.routes,
      this.shapers,
      this.leases,
      this.#specs,
      this.#attachments,
    ];
    for (const contest of contests) contest.replace(claim, before, after);
    if (after) claim.fragment = after;
    if (after) this.#claims.set(id, claim);
    else this.#claims.delete(id);
  }

  /** The changes of the document since the last call. */
  take(): Delta {
    return {
      instances: this.instances.take(),
      ports: this.#takePorts(),
      links: this.links.take(),
      routes: this.routes.take(),
      shapers: this.shapers.take(),
      leases: this.leases.take(),
      rows: this.rows.take(),
    };
  }

  /** The whole document, sorted. For display and tests only: it is slow for a large document. */
  whole(): Document {
    const sorted = <T>(items: Iterable<Held<T>>, idOf: (item: T) => string): T[] =>
      [...items]
        .map(({ item }) => ({ item, id: idOf(item) }))
        .sort(byId)
        .map(({ item }) => item);
    return {
      instances: sorted(this.instances.all(), KINDS.instances.idOf),
      ports: sorted(this.#ports.values(), portName),
      links: sorted(this.links.all(), KINDS.links.idOf),
      routes: sorted(this.routes.all(), KINDS.routes.idOf),
      shapers: sorted(this.shapers.all(), KINDS.shapers.idOf),
      leases: sorted(this.leases.all(), KINDS.leases.idOf),
      rows: sorted(this.rows.all(), KINDS.rows.idOf),
    };
  }

  /** Outcomes of the items that are not in the document: another fragment's item won, or a chain has no place. */
  outcomes(): Outcome[] {
    const contests = {
      instance: this.instances,
      port: this.#specs,
      device: this.links,
      route: this.routes,
      row: this.rows,
    };
    const lost = Object.entries(contests).flatMap(([what, contest]) =>
      contest.conflicts().map(({ id, winner, loser }): Outcome => {
        const message = `${what} ${printable(id)} is already set by ${winner.fragment.owner}, which takes precedence`;
        return { owner: loser.id, code: "conflict", message, severity: "error" };
      }),
    );
    const refused = [...this.#refused.values()].map(({ outcome }) => outcome);
    return [...refused, ...lost, ...[...this.#unplaced.values()].flat()];
  }

  #takePorts(): Change<Port>[] {
    const changed = new Set<string>();
    for (const { item } of this.#specs.take()) changed.add(portName(item));
    for (const { item, gone } of this.#attachments.take()) {
      this.#place(item, gone);
      changed.add(item.port);
    }
    return [...changed].flatMap((name) => this.#compose(name));
  }

  #place(attachment: Attachment, gone: boolean): void {
    const { port, direction, instance } = attachment;
    const chains = this.#chains.get(port) ?? { ingress: [], egress: [] };
    const others = chains[direction].filter((one) => one.instance !== instance);
    chains[direction] = gone ? others : [...others, attachment].sort(byOrder);
    if (chains.ingress.length + chains.egress.length > 0) this.#chains.set(port, chains);
    else this.#chains.delete(port);
  }

  #compose(name: string): Change<Port>[] {
    const before = this.#ports.get(name);
    const spec = this.#specs.get(name);
    const after = spec && this.#withChains(name, spec);
    this.#tellUnplaced(name, spec);
    if (!after) {
      this.#ports.delete(name);
      return before ? [{ ...before, gone: true }] : [];
    }
    if (before && before.owner === after.owner && sameValue(before.item, after.item)) return [];
    this.#ports.set(name, after);
    return [{ ...after, gone: false }];
  }

  #withChains(name: string, { owner, item }: Held<PortSpec>): Held<Port> {
    const chain = (direction: ChainDirection): string[] =>
      (this.#chains.get(name)?.[direction] ?? []).slice(0, this.#maxChain).map(({ instance }) => instance);
    return { owner, item: { ...item, ingress: chain("ingress"), egress: chain("egress") } };
  }

  #tellUnplaced(name: string, spec: Held<PortSpec> | undefined): void {
    const { ingress = [], egress = [] } = this.#chains.get(name) ?? {};
    const most = spec ? this.#maxChain : 0;
    const left = [...ingress.slice(most), ...egress.slice(most)];
    if (left.length === 0) {
      this.#unplaced.delete(name);
      return;
    }
    const outcome = ({ port, direction, instance }: Attachment): Outcome => ({
      owner: this.#attachments.get(KINDS.attach.idOf({ port, direction, instance, order: 0 }))?.owner ?? "",
      code: spec ? "chain-full" : "no-port",
      message: spec
        ? `attach ${instance} to the ${direction} chain of port ${port}: the chain is full (at most ${this.#maxChain} functions)`
        : `attach ${instance} to port ${port}: there is no such port`,
      severity: "error",
    });
    this.#unplaced.set(name, left.map(outcome));
  }
}

const byOrder = (a: Attachment, b: Attachment): number =>
  a.order - b.order || (a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0);

const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

const printable = (id: string): string => id.replaceAll(/[^\x20-\x7e]/g, ".");
