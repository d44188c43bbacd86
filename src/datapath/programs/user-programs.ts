import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadObject, Program } from "../../kernel/index.ts";
import type { Panel } from "../panel.ts";
import type { UserPrograms } from "../user-programs.ts";

/** Users' programs on a panel, pinned in its folder. */
export class KernelUserPrograms implements UserPrograms {
  readonly #panel: Panel;
  readonly #objects: (build: string) => string;
  /** Builds that this agent has loaded, by instance. */
  readonly #builds = new Map<string, string>();

  /** @param objects returns the path of a build's linked object */
  constructor(panel: Panel, objects: (build: string) => string) {
    this.#panel = panel;
    this.#objects = objects;
  }

  get held(): string[] {
    // Names survive a panel that was built anew, pins do not. Only names of instances contain a colon.
    const slots = [...this.#panel.names.all("function").values()].filter((name) => name.includes(":"));
    return [...new Set([...slots, ...this.#pinned()])];
  }

  load(instance: string, build: string): void {
    const pin = join(this.#pins, instance);
    const isOther = (this.#builds.get(instance) ?? build) !== build;
    if (isOther) rmSync(pin, { force: true });
    if (!existsSync(pin)) this.#pin(build, pin);
    const program = Program.open(pin);
    try {
      this.#panel.place(instance, program);
      this.#builds.set(instance, build);
    } finally {
      program.close();
    }
  }

  remove(instances: readonly string[]): void {
    this.#panel.vacate(instances);
    for (const instance of instances) {
      this.#builds.delete(instance);
      rmSync(join(this.#pins, instance), { force: true });
    }
  }

  #pinned(): string[] {
    return existsSync(this.#pins) ? readdirSync(this.#pins) : [];
  }

  get #pins(): string {
    return join(this.#panel.own, "custom");
  }

  #pin(build: string, pin: string): void {
    mkdirSync(this.#pins, { recursive: true });
    const { tables, own } = this.#panel;
    const object = loadObject(this.#objects(build), {
      pinDir: join(own, "maps"),
      pinMaps: (map) => tables.has(map),
      anySize: true,
    });
    try {
      object.program("weir_custom").pin(pin);
    } finally {
      object.close();
    }
  }
}
