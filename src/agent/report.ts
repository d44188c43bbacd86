import type { Problem } from "../model/problem.ts";
import type { Trouble } from "../sources/manifests/index.ts";
import type { Logger } from "./log.ts";

/** Writes the agent's log: one line per change of state, neither per pass nor again for what is unchanged. */
export class Report {
  readonly #log: Logger;
  #failures: ReadonlySet<string> = new Set();
  #warnings: ReadonlySet<string> = new Set();
  #hindered: readonly string[] = [];
  #isFirst = true;

  constructor(log: Logger) {
    this.#log = log;
  }

  applied(writes: number, seconds: number): void {
    if (writes > 0) this.#log.info({ writes, ms: Math.round(seconds * 1000) }, "state applied");
  }

  /** Logs what is not in force, and what is degraded, if it was not so before; and once when all is in force. */
  standing(failures: readonly Problem[], warnings: readonly Problem[]): void {
    const isOver = failures.length === 0 && (this.#failures.size > 0 || this.#isFirst);
    this.#failures = this.#warnNew(this.#failures, failures, "not in force; trying again");
    if (isOver) this.#log.info("everything is in force");
    this.#isFirst = false;
    this.#warnings = this.#warnNew(this.#warnings, warnings, "in force, but not as good as it should be");
  }

  /** Returns what was reported, to compare with the next report. */
  #warnNew(known: ReadonlySet<string>, problems: readonly Problem[], text: string): Set<string> {
    const now = new Set<string>();
    for (const { object, message } of problems) {
      const one = `${object} ${message}`;
      if (!known.has(one) && !now.has(one)) this.#log.warn({ object, message }, text);
      now.add(one);
    }
    return now;
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
