import type { PortRows } from "./compile.ts";
import type { Generations, PanelConfig } from "./generations.ts";
import type { Names } from "./names.ts";
import type { PortTable } from "./ports.ts";

/** The ports of a panel, written through its two generations. */
export class PanelPorts implements PortTable {
  readonly #generations: Generations;
  readonly #names: Names;
  readonly #ports = new Map<string, PortRows>();
  /** Nothing was put in force, or not all of what was staged: the next commit stages all ports. */
  #isUnsure = true;

  constructor(generations: Generations, names: Names) {
    this.#generations = generations;
    this.#names = names;
  }

  set(name: string, rows: PortRows): void {
    this.#ports.set(name, rows);
    this.#generations.stage(rows.id, rows);
  }

  remove(name: string): void {
    const id = this.#ports.get(name)?.id ?? this.#names.find("port", name);
    this.#ports.delete(name);
    if (id !== undefined) this.#generations.stage(id, undefined);
  }

  commit(config: PanelConfig): ReadonlyMap<string, Error> {
    if (this.#isUnsure) this.#stageAll();
    this.#isUnsure = true;
    const failed = this.#generations.commit(config);
    this.#isUnsure = false;
    if (failed.size === 0) return NONE;
    const names = this.#names.all("port");
    return new Map([...failed].map(([id, error]) => [names.get(id) ?? String(id), error]));
  }

  scrub(count: number): boolean {
    return this.#generations.scrub(count);
  }

  #stageAll(): void {
    const wanted = new Set([...this.#ports.values()].map(({ id }) => id));
    for (const id of this.#generations.ports()) if (!wanted.has(id)) this.#generations.stage(id, undefined);
    for (const rows of this.#ports.values()) this.#generations.stage(rows.id, rows);
  }
}

const NONE: ReadonlyMap<string, Error> = new Map();
