import { bad, good, quote, type Result } from "./text.ts";

/** Seen from the pod: ingress is what it receives, egress what it sends. */
export type Direction = "ingress" | "egress";

/** What a value may be at most, in characters, and how to write it, for whoever did not. */
export interface Grammar {
  longest: number;
  hint: string;
}

/**
 * Reads a value of podmgr's grammars. An object has one annotation of a name, so what is said of two directions has `;` or
 * `,` between. `parseOne` reads one part, trimmed.
 */
export function parseDirections<T extends { direction: Direction }>(
  value: string,
  { longest, hint }: Grammar,
  parseOne: (text: string) => Result<T>,
): Result<T[]> {
  if (value.length > longest) return bad(`the value is longer than ${longest} characters; ${hint}`);
  const rules: T[] = [];
  for (const part of value.split(/[;,]/)) {
    const rule = parseOne(part.replace(/^[ \t]+|[ \t]+$/g, ""));
    if (!rule.ok) return rule;
    if (rules.some((other) => other.direction === rule.value.direction)) {
      return bad(`${quote(value)} gives ${rule.value.direction} twice; give each direction once`);
    }
    rules.push(rule.value);
  }
  return good(rules);
}

export const isDirection = (text: string): text is Direction => text === "ingress" || text === "egress";
