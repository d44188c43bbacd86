import type { Direction } from "./limits.ts";

/** A user's own program in a pod's chain. Directions are the pod's. */
export interface ProgramRule {
  direction: Direction;
  /** Name that the administrator's folder lists. */
  program: string;
  /** Macros in the order of their names. */
  macros: readonly { name: string; value: number }[];
  /** Where it is written: `ebpf-limit` (the pod's annotation) or `Service/ns/name`. */
  source: string;
  configured: string;
}

/** Identity of what is compiled: same key, same object. */
export function programKey({
  program,
  direction,
  macros,
}: Pick<ProgramRule, "program" | "direction" | "macros">): string {
  return `${program} ${direction} ${macros.map(({ name, value }) => `${name}=${value}`).join(" ")}`.trimEnd();
}
