/** Position of a value in a JSON text, with those below it. */
interface Position {
  offset: number;
  members?: ReadonlyMap<string, Position>;
  items?: readonly Position[];
}

/**
 * Positions of values in a JSON text that `JSON.parse` accepts and that is not deeply nested. The text is scanned once;
 * the result can be queried any number of times.
 */
export function jsonPositions(text: string): (path: readonly PropertyKey[]) => { line: number; column: number } {
  const root = new Scanner(text).value();
  const lines = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
  return (path) => {
    const { offset } = nearest(root, path);
    const line = countUpTo(lines, offset);
    return { line: line + 1, column: offset - (lines[line - 1] ?? 0) + 1 };
  };
}

/** Position of a value, or of the nearest one above it. */
function nearest(root: Position, path: readonly PropertyKey[]): Position {
  let at = root;
  for (const key of path) {
    const below = typeof key === "number" ? at.items?.[key] : at.members?.get(String(key));
    if (!below) return at;
    at = below;
  }
  return at;
}

/** The number of sorted values that are at most `most`. */
function countUpTo(sorted: readonly number[], most: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

const SPACE = /[\t\n\r ]*/y;
const SCALAR = /[-+.\w]+/y;

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): Position {
    this.#pass(SPACE);
    const offset = this.#at;
    const first = this.#text.charAt(offset);
    if (first === "{") return { offset, members: new Map(this.#list("}", () => this.#member())) };
    if (first === "[") return { offset, items: this.#list("]", () => this.value()) };
    if (first === '"') this.#string();
    else this.#pass(SCALAR);
    return { offset };
  }

  #list<T>(end: string, next: () => T): T[] {
    const found: T[] = [];
    this.#at += 1;
    this.#pass(SPACE);
    while (this.#text.charAt(this.#at) !== end && this.#at < this.#text.length) {
      found.push(next());
      this.#pass(SPACE);
      if (this.#text.charAt(this.#at) === ",") this.#at += 1;
      this.#pass(SPACE);
    }
    this.#at += 1;
    return found;
  }

  #member(): [string, Position] {
    const begin = this.#at;
    this.#string();
    const key: unknown = JSON.parse(this.#text.slice(begin, this.#at));
    this.#pass(SPACE);
    this.#at += 1; // the colon
    return [String(key), this.value()];
  }

  /** Skips a string: to the first unescaped quote. */
  #string(): void {
    this.#at += 1;
    while (this.#at < this.#text.length && this.#text.charAt(this.#at) !== '"') {
      this.#at += this.#text.charAt(this.#at) === "\\" ? 2 : 1;
    }
    this.#at += 1;
  }

  #pass(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    if (pattern.test(this.#text)) this.#at = pattern.lastIndex;
  }
}
