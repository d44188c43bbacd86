import { createHash } from "node:crypto";
import type { PodTemplate } from "../objects.ts";

/** Kubernetes leaves out vowels and characters that look alike, so that no offensive word appears by chance. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
/** Kubernetes cuts the base of a generated name here: base and suffix then have at most 63 characters. */
const LONGEST_BASE = 58;

/** Serialises a value; the order of keys does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function digest(...parts: readonly unknown[]): Buffer {
  return createHash("sha256").update(canonical(parts)).digest();
}

/** A name suffix of `length` letters that depends on the parts alone. */
export function word(length: number, ...parts: readonly unknown[]): string {
  const hash = digest(...parts);
  return Array.from({ length }, (_, i) => ALPHABET[(hash[i] ?? 0) % ALPHABET.length]).join("");
}

/** A uid that depends on the parts alone: a UUID of version 8. */
export function uidOf(...parts: readonly unknown[]): string {
  const hash = digest("uid", ...parts).subarray(0, 16);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return hash.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** A version of an object's content: equal content has an equal version. */
export function versionOf(content: unknown): string {
  return digest("version", content).toString("hex", 0, 8);
}

/**
 * Identity of a pod template without its labels and annotations: editing those changes the pods in place (Kubernetes
 * would replace them), so a limit can be edited while its pod runs.
 */
export function templateHash(template: PodTemplate): string {
  return word(10, "template", template.spec);
}

/** A generated name: base, dash, suffix. It is not in `taken`, and is added to it. */
export function generatedName(base: string, taken: Set<string>, ...parts: readonly unknown[]): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${`${base}-`.slice(0, LONGEST_BASE)}${word(5, "suffix", attempt, ...parts)}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}
