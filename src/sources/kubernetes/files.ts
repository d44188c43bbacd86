import { readFileSync } from "node:fs";

/** Returns a file's text. Throws like Node.js, with `code`. */
export type ReadFile = (file: string) => string;

export const readText: ReadFile = (file) => readFileSync(file, "utf8");

/**
 * Reads files and remembers the results, to notice changes. Contents are compared rather than times, since two writes
 * within a clock tick have the same time.
 */
export class Reading {
  readonly #seen = new Map<string, Outcome>();

  readonly read: ReadFile = (file) => {
    const outcome = look(file);
    this.#seen.set(file, outcome);
    if ("error" in outcome) throw outcome.error;
    return outcome.text;
  };

  /** Whether reading the same files again would give another result. */
  get isOld(): boolean {
    return [...this.#seen].some(([file, before]) => !isSame(before, look(file)));
  }
}

type Outcome = { text: string } | { error: NodeJS.ErrnoException };

function look(file: string): Outcome {
  try {
    return { text: readText(file) };
  } catch (error) {
    return { error: error as NodeJS.ErrnoException };
  }
}

function isSame(one: Outcome, other: Outcome): boolean {
  if ("text" in one) return "text" in other && one.text === other.text;
  return "error" in other && one.error.code === other.error.code;
}
