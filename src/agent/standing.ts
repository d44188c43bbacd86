import type { Planner } from "../authors/planner.ts";
import { objectKey } from "../model/names.ts";
import type { Problem } from "../model/objects.ts";
import type { Outcome } from "../model/outcomes.ts";
import type { AgentParts } from "./agent.ts";
import type { Knowledge } from "./knowledge.ts";

/** The object of a failure that broke off a whole pass. */
export const AGENT = "agent";

/** What became of objects and rules: what is wrong with them, and what of them is not in force. */
export class Standing {
  readonly #parts: AgentParts;
  readonly #planner: Planner;
  readonly #knowledge: Knowledge;
  /** What failed in the last pass beside the datapath's items. */
  #failed: Problem[] = [];
  #problems: readonly Problem[] | undefined;
  #byObject: ReadonlyMap<string, readonly Problem[]> | undefined;

  constructor(parts: AgentParts, planner: Planner, knowledge: Knowledge) {
    this.#parts = parts;
    this.#planner = planner;
    this.#knowledge = knowledge;
  }

  /** A pass begins: what was known is not known any more. */
  begin(): void {
    this.#failed = [];
    this.#problems = undefined;
    this.#byObject = undefined;
  }

  failed(object: string, { message }: Error): void {
    this.#failed.push({ object, message });
  }

  /** The pass broke off. */
  brokeOff(error: Error): void {
    this.#failed = [];
    this.failed(AGENT, error);
  }

  /** What is wrong with objects as they are written. The same list until the next pass. */
  problems(): readonly Problem[] {
    const { found } = this.#knowledge;
    this.#problems ??= [...this.#knowledge.problems(), ...this.#planner.problems(), ...found];
    return this.#problems;
  }

  /** What is wrong with an object, by `Kind/namespace/name`. */
  problemsOf(object: string): readonly Problem[] {
    this.#byObject ??= byObject(this.problems());
    return this.#byObject.get(object) ?? [];
  }

  /** What is not in force. */
  failures(): Problem[] {
    return [...this.#knowledge.faults, ...this.#failed, ...this.#told("error")];
  }

  /** What is in force, but not as good as it should be. */
  warnings(): Problem[] {
    return this.#told("warning");
  }

  /** Why what these fragments want, or what they stand on, is not in force; undefined: it is. */
  faultOf(...claims: readonly string[]): string | undefined {
    const [broken] = this.#failed.filter(({ object }) => object === AGENT);
    if (broken) return broken.message;
    for (const claim of [...claims, this.#node]) {
      const error = this.#outcomes(claim).find(({ severity }) => severity === "error");
      if (error) return error.message;
    }
    return undefined;
  }

  /** The first of these fragments' errors. */
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

  #told(severity: Outcome["severity"]): Problem[] {
    const all = [...this.#parts.datapath.outcomes.all(), ...this.#planner.outcomes()];
    return all.flatMap((one): Problem[] => {
      if (one.severity !== severity) return [];
      const object = this.#planner.objectOf(one.owner) ?? objectKey("Node", this.#planner.node);
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
