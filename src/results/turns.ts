import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { ObjectStatus } from "../sources/kubernetes/index.ts";
import { entriesOf, knownConditions } from "./conditions.ts";

/** Agents that wait in turn; all others wait as long as the last of them. */
const IN_TURN = 15;
/** Agents that wait equally long are spread so that about this many would write within one `leave`. */
const AT_ONCE = 50;

interface Turn {
  /** When it is this agent's turn, ms of the monotonic clock. */
  due: number;
  /** The conditions when it began to wait. As long as others change them, it goes on waiting. */
  seen: readonly unknown[];
}

/**
 * Which agent writes the conditions of an object. All would write the same, so one of those with a current entry is the
 * first; the others wait longer the later their turn, in case that it does not answer. Without turns each pod that
 * starts or ends would cause a write by every node of the object's pods, all but one refused as a conflict.
 */
export class Turns {
  readonly #node: string;
  readonly #leave: number;
  readonly #turns = new Map<string, Turn>();

  /** @param leave ms by which one turn is later than the one before it */
  constructor(node: string, leave: number) {
    this.#node = node;
    this.#leave = leave;
  }

  /** When the next waiting turns are due, ms of the monotonic clock. */
  get dues(): number[] {
    return [...this.#turns.values()].map(({ due }) => due);
  }

  /** Whether this agent writes the conditions now. @param now ms of the monotonic clock */
  isDue(key: string, standing: ObjectStatus, nodes: Pick<ReadonlySet<string>, "has" | "size">, now: number): boolean {
    const seen = knownConditions(standing.status);
    const known = this.#turns.get(key);
    const isSame = known !== undefined && isDeepStrictEqual(known.seen, seen);
    const turn = isSame ? known : { due: now + this.#wait(key, standing, nodes), seen };
    this.#turns.set(key, turn);
    return turn.due <= now;
  }

  /** Forgets an object, whose conditions are up to date. */
  forget(key: string): void {
    this.#turns.delete(key);
  }

  /** Forgets all objects but these. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#turns.keys()) if (!keys.has(key)) this.#turns.delete(key);
  }

  #wait(key: string, { generation, status }: ObjectStatus, nodes: Pick<ReadonlySet<string>, "has" | "size">): number {
    const current = entriesOf(status).filter((one) => one.observedGeneration === generation && nodes.has(one.name));
    const own = rank(key, this.#node);
    const before = current.filter(({ name }) => name !== this.#node && rank(key, name) < own).length;
    const isIncluded = current.some(({ name }) => name === this.#node);
    if (isIncluded && before === 0) return 0;
    const place = Math.min(IN_TURN, isIncluded ? before : current.length + 1);
    const spread = isIncluded && place < IN_TURN ? 1 : 1 + nodes.size / AT_ONCE;
    return this.#leave * (place + spread * Math.random());
  }
}

/** A node's place in the order of turns, which differs between objects: no node is the first for all. */
const rank = (key: string, node: string): string => createHash("sha1").update(`${key} ${node}`).digest("hex");
