import { readFileSync } from "node:fs";

/** Gives a file's text. Throws as Node does, with `code`. */
export type ReadFile = (file: string) => string;

export const readText: ReadFile = (file) => readFileSync(file, "utf8");

/**
 * Reads files and remembers what came of each, so that a change of any of them shows. Texts are compared, not times:
 * two writes within a tick of the file system's clock look the same from outside.
 */
export class Reading {
  readonly #seen = new Map<string, Outcome>();

  readonly read: ReadFile = (file) => {
    const outcome = look(file);
    this.#seen.set(file, outcome);
    if ("error" in outcome) throw outcome.error;
    return outcome.text;
  };

  /** Would reading the same files give anything else now? */
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
