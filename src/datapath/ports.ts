import type { Compiled } from "./compile.ts";
import type { Failure } from "./failure.ts";
import type { Generations, PanelConfig } from "./generations.ts";
import type { Names } from "./names.ts";

/** The panel's ports by full name. Changes are noted, and made real together; a port that fails costs no other anything. */
export class Ports {
  readonly #names: Names;
  readonly #generations: Generations;
  readonly #problems = new Map<string, string>();

  constructor(names: Names, generations: Generations) {
    this.#names = names;
    this.#generations = generations;
  }

  /** What a port shall be. One without rows is no longer in force, and its problem is told again by each `commit`. */
  set(name: string, { rows, problem }: Compiled): void {
    if (problem === undefined) this.#problems.delete(name);
    else this.#problems.set(name, problem);
    const id = rows?.id ?? this.#names.find("port", name);
    if (id !== undefined) this.#generations.stage(id, rows);
  }

  /** The port goes. Its name keeps its id until that is released: rows of functions may still hold it. */
  remove(name: string): void {
    this.#problems.delete(name);
    const id = this.#names.find("port", name);
    if (id !== undefined) this.#generations.stage(id, undefined);
  }

  /** Removes every port that is not one of these. */
  retain(names: ReadonlySet<string>): void {
    const known = this.#names.all("port");
    for (const id of this.#generations.ports()) {
      if (!names.has(known.get(id) ?? "")) this.#generations.stage(id, undefined);
    }
    for (const name of this.#problems.keys()) if (!names.has(name)) this.#problems.delete(name);
  }

  /** Makes the changes real. What does not work, by port; a port that is not named here is in force as it was set. */
  commit(config: PanelConfig): Failure[] {
    const failed = this.#generations.commit(config);
    const failures = [...this.#problems].map(([name, message]) => ({ object: `port ${name}`, message }));
    if (failed.size === 0) return failures;
    const names = this.#names.all("port");
    return [
      ...failures,
      ...[...failed].map(([id, { message }]) => ({ object: `port ${names.get(id) ?? id}`, message })),
    ];
  }
}
