import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadObject, Program } from "../../kernel/index.ts";
import type { DesiredState, Instance } from "../../model/desired.ts";
import type { Failure } from "../failure.ts";
import type { Panel } from "../panel.ts";

/** Programs of users in the kernel: one for each instance that has one, with maps of its own, in a slot of its own. */
export class OwnPrograms {
  readonly #panel: Panel;
  readonly #objects: (build: string) => string;
  readonly #placed = new Set<string>();

  /** @param objects path of the linked object of a build */
  constructor(panel: Panel, objects: (build: string) => string) {
    this.#panel = panel;
    this.#objects = objects;
  }

  /** Instances whose programs this panel holds. */
  get held(): string[] {
    return existsSync(this.#pins) ? readdirSync(this.#pins) : [];
  }

  /**
   * Loads what is not there yet. What cannot be loaded is a failure, and its instance is left out: traffic passes it by.
   * A program is in its slot before any hop leads there.
   */
  ensure(wanted: DesiredState): { desired: DesiredState; failures: Failure[] } {
    const failures: Failure[] = [];
    const missing = new Set<string>();
    for (const instance of wanted.instances) {
      if (instance.program === undefined || this.#placed.has(instance.name)) continue;
      try {
        this.#load(instance, instance.program);
        this.#placed.add(instance.name);
      } catch (error) {
        failures.push({ object: `program ${instance.name}`, message: (error as Error).message });
        missing.add(instance.name);
      }
    }
    return { desired: missing.size === 0 ? wanted : without(wanted, missing), failures };
  }

  /** The next pass looks at every slot anew. */
  forget(): void {
    this.#placed.clear();
  }

  /** Removes programs of instances that are gone; no hop leads there any more. */
  prune({ instances }: Pick<DesiredState, "instances">): void {
    const kept = new Set(instances.filter(({ program }) => program !== undefined).map(({ name }) => name));
    const gone = this.held.filter((name) => !kept.has(name));
    for (const name of gone) this.#placed.delete(name);
    // names outlive a panel that was built anew, pins do not; only instances have a colon in theirs
    const slots = [...this.#panel.names.all("function").values()].filter((name) => name.includes(":"));
    this.#panel.vacate(slots.filter((name) => !kept.has(name)));
    for (const name of gone) rmSync(join(this.#pins, name), { force: true });
  }

  get #pins(): string {
    return join(this.#panel.own, "custom");
  }

  #load({ name }: Instance, build: string): void {
    const pin = join(this.#pins, name);
    if (!existsSync(pin)) this.#pin(build, pin);
    const program = Program.open(pin);
    try {
      this.#panel.place(name, program);
    } finally {
      program.close();
    }
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

function without(state: DesiredState, missing: ReadonlySet<string>): DesiredState {
  const kept = (names: readonly string[]) => names.filter((name) => !missing.has(name));
  return {
    ...state,
    instances: state.instances.filter(({ name }) => !missing.has(name)),
    ports: state.ports.map((port) => ({ ...port, ingress: kept(port.ingress), egress: kept(port.egress) })),
  };
}
