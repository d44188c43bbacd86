import { MAX_SHAPERS } from "../model/shape.ts";
import { MAX_SLOTS, MAX_TUNNELS } from "./layout.ts";
import { DEFAULT_SIZES, type PanelSizes } from "./sizes.ts";
import type { Table } from "./tables.ts";

const KINDS = ["port", "instance", "function", "shaper", "tunnel"] as const;
export type NameKind = (typeof KINDS)[number];

/** Courses hold instances' ids in 16 bits. */
const MOST_INSTANCES = 65536;
const NAME_BYTES = 56;

/** The names of one kind: ids from 1 up to, not including, `end`. */
interface Range {
  end: number;
  ids: Map<string, number>;
  used: Set<number>;
  /** Given back, but named by counters still. */
  resting: Set<number>;
  next: number;
}

export interface NamesOptions {
  table: Table;
  sizes?: PanelSizes;
  /** Makes counters forget ports and instances that are gone, so that no id's next owner inherits them. */
  forget?: () => void;
}

/**
 * Ids by name, kept in the pinned map `weir_names`: small dense numbers that outlive the agent. A released id is
 * handed out again as late as possible, since packets under way may still carry it.
 */
export class Names {
  readonly #table: Table;
  readonly #forget: () => void;
  readonly #ranges: Record<NameKind, Range>;

  constructor({ table, sizes: { ports } = DEFAULT_SIZES, forget = () => {} }: NamesOptions) {
    this.#table = table;
    this.#forget = forget;
    this.#ranges = {
      port: range(ports),
      instance: range(Math.min(MOST_INSTANCES, 4 * ports)),
      function: range(MAX_SLOTS),
      shaper: range(MAX_SHAPERS),
      tunnel: range(MAX_TUNNELS),
    };
    for (const [key, value] of table.entries()) {
      const full = String(table.key.decode(key)["name"]);
      const [kind, name] = [full.slice(0, full.indexOf(":")) as NameKind, full.slice(full.indexOf(":") + 1)];
      if (KINDS.includes(kind)) this.#take(kind, name, Number(table.value.decode(value)["id"]));
    }
  }

  /** The id of a name; a new one if it has none. Throws when the name is too long or all ids are taken. */
  id(kind: NameKind, name: string): number {
    const known = this.#ranges[kind].ids.get(name);
    if (known !== undefined) return known;
    const key = this.#key(kind, name);
    const id = this.#free(kind);
    this.#table.write([[key, this.#table.value.encode({ id, reserved: 0 })]]);
    this.#take(kind, name, id);
    return id;
  }

  /** The id, if the name has one. */
  find(kind: NameKind, name: string): number | undefined {
    return this.#ranges[kind].ids.get(name);
  }

  /** Names by id. */
  all(kind: NameKind): Map<number, string> {
    return new Map([...this.#ranges[kind].ids].map(([name, id]) => [id, name]));
  }

  /** Whether some name has this id. */
  isUsed(kind: NameKind, id: number): boolean {
    return this.#ranges[kind].used.has(id);
  }

  /** Gives the name's id back, once nothing in the kernel leads to it any more. The id that it had. */
  release(kind: NameKind, name: string): number | undefined {
    const { ids, used, resting } = this.#ranges[kind];
    const id = ids.get(name);
    if (id === undefined) return undefined;
    this.#table.remove([this.#key(kind, name)]);
    ids.delete(name);
    used.delete(id);
    if (kind === "port" || kind === "instance") resting.add(id);
    return id;
  }

  /** Releases every name of a kind that `keep` does not hold; their ids. */
  prune(kind: NameKind, keep: ReadonlySet<string>): number[] {
    const gone = [...this.#ranges[kind].ids.keys()].filter((name) => !keep.has(name));
    return gone.map((name) => this.release(kind, name) ?? 0);
  }

  #key(kind: NameKind, name: string): Buffer {
    const full = `${kind}:${name}`;
    if (Buffer.byteLength(full) >= NAME_BYTES) {
      throw new Error(`name ${full}: ${Buffer.byteLength(full)} bytes, at most ${NAME_BYTES - 1} fit`);
    }
    return this.#table.key.encode({ name: full });
  }

  #take(kind: NameKind, name: string, id: number): void {
    const one = this.#ranges[kind];
    one.ids.set(name, id);
    one.used.add(id);
    one.next = Math.max(one.next, id + 1);
  }

  #free(kind: NameKind): number {
    const one = this.#ranges[kind];
    const id = firstFree(one) ?? this.#wake(kind);
    if (id === undefined) throw new Error(`allocate ${kind} id: all ${one.end - 1} are taken`);
    one.next = id + 1;
    return id;
  }

  /** All that is free rests: counters forget what is gone, at once for all, and one can be had again. */
  #wake(kind: NameKind): number | undefined {
    if (this.#ranges[kind].resting.size === 0) return undefined;
    this.#forget();
    for (const { resting } of Object.values(this.#ranges)) resting.clear();
    return firstFree(this.#ranges[kind]);
  }
}

const range = (end: number): Range => ({ end, ids: new Map(), used: new Set(), resting: new Set(), next: 1 });

function firstFree({ end, used, resting, next }: Range): number | undefined {
  for (let i = 0; i < end - 1; i++) {
    const id = 1 + ((next - 1 + i) % (end - 1));
    if (!used.has(id) && !resting.has(id)) return id;
  }
  return undefined;
}
