import type { Change, Instance } from "../model/document.ts";
import { Backoff } from "./backoff.ts";
import { slotName } from "./compile.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { Name, Names } from "./names.ts";
import type { Outcomes } from "./outcomes.ts";
import type { UserPrograms } from "./user-programs.ts";

interface Wanted {
  owner: string;
  item: Instance;
}

/** An instance that is in force: its id and its program slot. */
export interface Placed {
  id: number;
  slot: number;
}

/** Instances of functions, with their ids and programs. An instance that is not in force is left out of its chains. */
export class Instances {
  readonly retry: Backoff;
  readonly #names: Names;
  readonly #programs: UserPrograms;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #ids = new Map<string, Name>();
  readonly #placed = new Map<string, Placed>();
  /** Removed instances whose ids and programs still exist; true: with a user's program. */
  readonly #gone = new Map<string, boolean>();
  readonly #changed = new Set<string>();

  constructor(names: Names, programs: UserPrograms, outcomes: Outcomes, now: () => number) {
    this.#names = names;
    this.#programs = programs;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
  }

  get waiting(): number {
    return this.#failed.size;
  }

  /** Whether the document has this instance. */
  has(name: string): boolean {
    return this.#wanted.has(name);
  }

  /** Undefined: the instance is not in force. */
  get(name: string): Placed | undefined {
    return this.#placed.get(name);
  }

  take({ owner, item, gone }: Change<Instance>): void {
    const { name } = item;
    if (!gone) {
      this.#wanted.set(name, { owner, item });
      this.#gone.delete(name);
      this.#due.add(name);
      return;
    }
    const before = this.#wanted.get(name)?.item ?? item;
    this.#wanted.delete(name);
    this.#due.delete(name);
    this.#failed.delete(name);
    this.#gone.set(name, before.program !== undefined);
    if (this.#placed.delete(name)) this.#changed.add(name);
    this.#outcomes.set(`instance ${name}`, undefined);
  }

  tryAgain(): void {
    for (const name of this.#failed) this.#due.add(name);
  }

  /** Has all program slots checked again. */
  doubt(): void {
    for (const [name, { item }] of this.#wanted) if (item.program !== undefined) this.#due.add(name);
  }

  /** Allocates ids and loads programs. A program is in its slot before any hop leads to it. */
  ensure(): void {
    let isNew = false;
    for (const name of this.#due) {
      this.#due.delete(name);
      const wanted = this.#wanted.get(name);
      if (!wanted) continue;
      try {
        this.#place(wanted.item);
        this.#failed.delete(name);
        this.#outcomes.set(`instance ${name}`, undefined);
      } catch (error) {
        isNew = isNew || !this.#failed.has(name);
        this.#failed.add(name);
        if (this.#placed.delete(name)) this.#changed.add(name);
        this.#outcomes.set(`instance ${name}`, outcomeOf(wanted.owner, error));
      }
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  /** Instances that came into force or went out of it since the last call. */
  takeChanged(): Set<string> {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    return changed;
  }

  /**
   * Removes programs and ids of removed instances, to which no hop leads any more. @param whole all wanted instances
   * are known: others are removed too
   */
  prune(whole: boolean): void {
    const held = whole ? this.#programs.held : [...this.#gone].flatMap(([name, isOwn]) => (isOwn ? [name] : []));
    const unwanted = held.filter((name) => this.#wanted.get(name)?.item.program === undefined);
    if (unwanted.length > 0) this.#programs.remove(unwanted);
    for (const name of this.#gone.keys()) {
      const id = this.#ids.get(name);
      if (id) this.#names.drop(id);
      this.#ids.delete(name);
      this.#gone.delete(name);
    }
  }

  #place(item: Instance): void {
    const { name, program } = item;
    const id = this.#ids.get(name) ?? this.#names.hold("instance", name);
    this.#ids.set(name, id);
    if (program !== undefined) this.#programs.load(name, program);
    const slot = this.#names.find("function", slotName(item));
    if (slot === undefined)
      throw new Fault("missing", `place instance ${name}: no function ${item.function} is loaded`);
    const before = this.#placed.get(name);
    if (before?.slot === slot) return;
    this.#placed.set(name, { id: id.id, slot });
    this.#changed.add(name);
  }
}
