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
  /** Names of the authors, first the one that comes first where two want the same item. */
  authors: readonly string[];
  /** Functions that a chain holds. */
  maxChain: number;
}

/** Owner of the items that an author wants for one of its keys. */
export const claimOf = (author: string, key: string): string => `${author} ${key}`;

interface Chains {
  ingress: Attachment[];
  egress: Attachment[];
}

/**
 * Puts the authors' fragments together into one document, change by change. Of two fragments that want the same item, the
 * one of the earlier author has it, of one author's the one with the smaller key; the other's owner is told, and has the
 * item once it is free. A change costs the items of its fragment and the chains that they are in.
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
  /** Attachments without a place, by port. */
  readonly #unplaced = new Map<string, Outcome[]>();

  constructor({ authors, maxChain }: ComposerOptions) {
    this.#orders = new Map(authors.map((author, order) => [author, order]));
    this.#maxChain = maxChain;
  }

  /** Ports with their chains, by full name. */
  get ports(): ReadonlyMap<string, Held<Port>> {
    return this.#ports;
  }

  /** Items in the document. */
  get size(): number {
    const { instances, links, routes, shapers, leases, rows } = this;
    return [instances, links, routes, shapers, leases, rows, this.#ports].reduce((sum, { size }) => sum + size, 0);
  }

  /** The object for which a claim's items are there: `Kind/namespace/name`. `claim`: owner of an item. */
  objectOf(claim: string): string | undefined {
    return this.#claims.get(claim)?.fragment.owner;
  }

  /** What an author wants for one of its keys; undefined: nothing. Owner of the items is then `claimOf(author, key)`. */
  set(author: string, key: string, after: Fragment | undefined): void {
    const order = this.#orders.get(author);
    if (order === undefined) throw new Error(`compose fragment of ${author}: no author has this name`);
    const id = claimOf(author, key);
    const known = this.#claims.get(id);
    if (!known && !after) return;
    const before = known?.fragment;
    const claim = known ?? { id, order, key, fragment: after as Fragment };
    // contests look items up in the claim's fragment, so it is the old one until all have taken the new one in
    const contests = [
      this.instances,
      this.links,
      this.routes,
      this.shapers,
      this.leases,
      this.rows,
      this.#specs,
      this.#attachments,
    ];
    for (const contest of contests) contest.replace(claim, before, after);
    if (after) claim.fragment = after;
    if (after) this.#claims.set(id, claim);
    else this.#claims.delete(id);
  }

  /** What changed since the last time. */
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

  /** All of it, sorted. For people: large documents take a while. */
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

  /** Who does not have what it wants, because another does or because there is no place. */
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
        const message = `${what} ${printable(id)} is ${winner.fragment.owner}'s, which comes first`;
        return { owner: loser.id, code: "conflict", message, severity: "error" };
      }),
    );
    return [...lost, ...[...this.#unplaced.values()].flat()];
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
        ? `${instance} has no place in the ${direction} chain of port ${port}: it holds ${this.#maxChain} functions`
        : `${instance} is attached to port ${port}, which does not exist`,
      severity: "error",
    });
    this.#unplaced.set(name, left.map(outcome));
  }
}

const byOrder = (a: Attachment, b: Attachment): number =>
  a.order - b.order || (a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0);

const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

const printable = (id: string): string => id.replaceAll(/[^\x20-\x7e]/g, ".");
