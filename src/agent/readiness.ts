import type { Outcome, OutcomeCode } from "../model/outcomes.ts";

/** Errors that may end without a change of the object: room may become available, or a device may appear. */
const PASSING: ReadonlySet<OutcomeCode> = new Set(["missing", "full", "no-id", "no-device", "kernel"]);

/** An error of one object counts as its own after this, ms: the longest time between two tries. */
export const PATIENCE = 30_000;

/**
 * Whether an object's error is one that the node still works at, so that it is not ready. One that only a change of the
 * object ends, or that has lasted, is the object's: whoever may write objects cannot keep a node from being ready.
 * @param age ms since it began
 */
export function isAwaited({ code }: Outcome, age: number): boolean {
  return code === "lost" || (PASSING.has(code) && age < PATIENCE);
}

/** The reason for a state, of its first problem. @param node key of the node's own object, which goes without saying */
export function reasonOf(problems: readonly { object: string; message: string }[], node: string): string | undefined {
  const [first] = problems;
  if (!first) return undefined;
  const ofWhom = /^[A-Z]/.test(first.object) && first.object !== node ? `${first.object}: ` : "";
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  return `${ofWhom}${first.message}${more}`;
}
