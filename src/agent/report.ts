import type { Problem } from "../model/problem.ts";
import type { Trouble } from "../sources/manifests/index.ts";
import type { Logger } from "./log.ts";

/** Writes the agent's log: one line per change of state, not per pass. */
export class Report {
  readonly #log: Logger;
  #failures = "[]";
  #warnings = "[]";
  #hindered: readonly string[] = [];
  #isFirst = true;

  constructor(log: Logger) {
    this.#log = log;
  }

  applied(writes: number, seconds: number): void {
    if (writes > 0) this.#log.info({ writes, ms: Math.round(seconds * 1000) }, "state applied");
  }

  /** Logs changes of what is not in force, and of what is degraded. */
  standing(failures: readonly Problem[], warnings: readonly Problem[]): void {
    const text = JSON.stringify(failures);
    if (text !== this.#failures || this.#isFirst) {
      for (const { object, message } of failures) this.#log.warn({ object, message }, "not in force; trying again");
      if (failures.length === 0) this.#log.info("everything is in force");
    }
    this.#failures = text;
    this.#isFirst = false;
    const warned = JSON.stringify(warnings);
    if (warned === this.#warnings) return;
    this.#warnings = warned;
    for (const { object, message } of warnings) {
      this.#log.warn({ object, message }, "in force, but not as good as it should be");
    }
  }

  /** Logs once when a source has trouble, and once when that is over. */
  troubles(troubles: readonly Trouble[]): void {
    for (const { object, message } of troubles) {
      if (!this.#hindered.includes(object)) this.#log.warn({ object, message }, "a source is hindered");
    }
    const now = troubles.map(({ object }) => object);
    for (const object of this.#hindered) {
      if (!now.includes(object)) this.#log.info({ object }, "a source is no longer hindered");
    }
    this.#hindered = now;
  }
}
