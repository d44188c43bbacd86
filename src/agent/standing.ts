import type { Planner } from "../authors/planner.ts";
import { objectKey } from "../model/names.ts";
import type { Outcome } from "../model/outcomes.ts";
import type { Problem } from "../model/problem.ts";
import type { Knowledge } from "./knowledge.ts";
import type { AgentParts } from "./parts.ts";
import { isAwaited } from "./readiness.ts";

/** The object of a failure of a whole pass. */
export const AGENT = "agent";

/** Problems of objects, and items that are not in force or degraded. */
export class Standing {
  readonly #parts: AgentParts;
  readonly #planner: Planner;
  readonly #knowledge: Knowledge;
  /** Failures of the last pass that are not outcomes of the datapath's items. */
  #failed: Problem[] = [];
  #problems: readonly Problem[] | undefined;
  #byObject: ReadonlyMap<string, readonly Problem[]> | undefined;

  constructor(parts: AgentParts, planner: Planner, knowledge: Knowledge) {
    this.#parts = parts;
    this.#planner = planner;
    this.#knowledge = knowledge;
  }

  /** Begins a pass: clears the last one's failures. */
  begin(): void {
    this.#failed = [];
    this.#problems = undefined;
    this.#byObject = undefined;
  }

  failed(object: string, { message }: Error): void {
    this.#failed.push({ object, message });
  }

  /** Records that the pass threw. */
  brokeOff(error: Error): void {
    this.#failed = [];
    this.failed(AGENT, error);
  }

  /** Problems in the content of objects. The same array until the next pass. */
  problems(): readonly Problem[] {
    const { found } = this.#knowledge;
    this.#problems ??= [...this.#knowledge.problems(), ...this.#planner.problems(), ...found];
    return this.#problems;
  }

  /** Problems of one object, `Kind/namespace/name`. */
  problemsOf(object: string): readonly Problem[] {
    this.#byObject ??= byObject(this.problems());
    return this.#byObject.get(object) ?? [];
  }

  /** What is not in force. */
  failures(): Problem[] {
    return [...this.#knowledge.faults, ...this.#failed, ...this.#told("error")];
  }

  /** What keeps the node from being ready: failures of its own, and those of objects that it still works at. */
  awaited(): Problem[] {
    const { outcomes } = this.#parts.datapath;
    const aged = [...outcomes.aged(), ...this.#beside().map((outcome) => ({ outcome, age: 0 }))];
    const told = aged.flatMap(({ outcome, age }): Problem[] => {
      const object = this.#objectOf(outcome);
      const counts = outcome.severity === "error" && (object.startsWith("Node/") || isAwaited(outcome, age));
      return counts ? [{ object, message: outcome.message }] : [];
    });
    return [...this.#knowledge.faults, ...this.#failed, ...told];
  }

  /** What is in force but degraded. */
  warnings(): Problem[] {
    return this.#told("warning");
  }

  /** Why these fragments, or the node's own that they depend on, are not in force; undefined: they are. */
  faultOf(...claims: readonly string[]): string | undefined {
    const [broken] = this.#failed.filter(({ object }) => object === AGENT);
    if (broken) return broken.message;
    for (const claim of [...claims, this.#node]) {
      const error = this.#outcomes(claim).find(({ severity }) => severity === "error");
      if (error) return error.message;
    }
    return undefined;
  }

  /** The first error among these fragments' outcomes. */
  outcomeOf(...claims: readonly string[]): Outcome | undefined {
    return claims.flatMap((claim) => this.#outcomes(claim)).find(({ severity }) => severity === "error");
  }

  get #node(): string {
    return this.#parts.datapath.outcomes.node;
  }

  #outcomes(claim: string): readonly Outcome[] {
    const composed = this.#planner.outcomes().filter(({ owner }) => owner === claim);
    return [...this.#parts.datapath.outcomes.of(claim), ...composed];
  }

  /** Problems that are no outcomes of items: parts of the document without a place, and known losses. */
  #beside(): Outcome[] {
    return [...this.#parts.datapath.lost(), ...this.#planner.outcomes()];
  }

  /** The object that an outcome is about: the node's own if it is no other's. */
  #objectOf({ owner }: Outcome): string {
    return this.#planner.objectOf(owner) ?? objectKey("Node", this.#planner.node);
  }

  #told(severity: Outcome["severity"]): Problem[] {
    const all = [...this.#parts.datapath.outcomes.all(), ...this.#beside()];
    return all.flatMap((one): Problem[] => {
      if (one.severity !== severity) return [];
      const object = this.#objectOf(one);
      return [{ object, message: one.message, ...(severity === "warning" && { severity }) }];
    });
  }
}

function byObject(problems: readonly Problem[]): ReadonlyMap<string, readonly Problem[]> {
  const found = new Map<string, Problem[]>();
  for (const one of problems) {
    const known = found.get(one.object);
    if (known) known.push(one);
    else found.set(one.object, [one]);
  }
  return found;
}
