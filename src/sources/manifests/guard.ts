import { isMap, isScalar, Lexer, type Node, type ParsedNode, visit } from "yaml";

/** Maximum nesting. Parsers recurse, and a stack overflow could end the process. */
const DEEPEST = 256;
/** About a megabyte of ordinary manifests. Parsing more would block everything else for too long. */
const MOST_TOKENS = 500_000;

/**
 * Checks a YAML text without parsing it. Returns the reason why it must not be parsed: nesting, size, or merge keys
 * (which expand exponentially and do not count as aliases). Linear in time and memory.
 */
export function refuseYaml(text: string): string | undefined {
  const depth = new Depth();
  let tokens = 0;
  for (const token of new Lexer().lex(text)) {
    tokens += 1;
    if (token === "<<") return 'merge keys ("<<") are not read; write the fields out';
    if (depth.after(token) > DEEPEST) return "nested too deeply";
    if (tokens > MOST_TOKENS) return "too long; split it into several files, or write it as JSON";
  }
  return undefined;
}

/** Change of depth per character of JSON. */
const STEPS: Readonly<Record<string, number>> = { "[": 1, "{": 1, "]": -1, "}": -1 };

/** Whether a JSON text is nested too deeply. Parsing it would be safe, but later code recurses. */
export function isDeepJson(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === '"') quoted = !quoted;
    else if (quoted) i += character === "\\" ? 1 : 0;
    else depth += STEPS[character] ?? 0;
    if (depth > DEEPEST) return true;
  }
  return false;
}

/** Upper bound of the nesting at a token: each block level needs a column of indentation or an indicator. */
class Depth {
  #flow = 0;
  #block = 0;
  #indenting = true;

  after(token: string): number {
    const first = token.charAt(0);
    if (first === "\n" || first === "\r") {
      this.#indenting = true;
      this.#block = 0;
    } else if (first === " " || first === "\t") {
      if (this.#indenting) this.#block += token.length;
    } else if (first === "#") {
      this.#block = 0;
    } else this.#count(token);
    return this.#flow + this.#block;
  }

  #count(token: string): void {
    if (token === "[" || token === "{") this.#flow += 1;
    else if (token === "]" || token === "}") this.#flow = Math.max(0, this.#flow - 1);
    else if (this.#flow === 0 && (token === "-" || token === "?" || token === ":")) this.#block += 1;
    else this.#indenting = false;
  }
}

/** The second of two equal keys in a map. Takes linear time, unlike the parser's own check. */
export function repeatedKey(root: ParsedNode | null): { key: string; offset: number } | undefined {
  let found: { key: string; offset: number } | undefined;
  visit(root as Node | null, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const { key } of isMap(map) ? map.items : []) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          found = { key: name, offset: key.range?.[0] ?? 0 };
          return visit.BREAK;
        }
        seen.add(name);
      }
      return undefined;
    },
  });
  return found;
}
