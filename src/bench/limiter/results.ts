import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

/** Results by name in a file of JSON lines: a run continues where the last one ended. */
export class Results<T extends { name: string }> {
  readonly file: string;
  readonly #known = new Map<string, T>();

  constructor(file: string) {
    this.file = file;
    mkdirSync(dirname(file), { recursive: true });
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
    for (const one of lines.map((line) => JSON.parse(line) as T)) this.#known.set(one.name, one);
  }

  get(name: string): T | undefined {
    return this.#known.get(name);
  }

  all(): T[] {
    return [...this.#known.values()];
  }

  add(result: T): void {
    this.#known.set(result.name, result);
    appendFileSync(this.file, `${JSON.stringify(result)}\n`);
  }
}
