import type { Problem } from "../model/problem.ts";
import type { Step } from "./progress.ts";

/** A problem as one line. */
export function line({ object, path, message, at }: Problem): string {
  const field = path === undefined ? "" : ` ${path}`;
  return `${object}${field}: ${message}${at === undefined ? "" : ` (${at})`}`;
}

export function dedupe(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [line(one), one])).values()];
}

/** Merges equal problems of many pods: the pods of one workload share their template. */
export function gathered(problems: readonly Problem[]): Problem[] {
  const found = new Map<string, { first: Problem; objects: Set<string> }>();
  for (const one of problems) {
    const isPod = one.object.startsWith("Pod/");
    const key = JSON.stringify([isPod ? "Pod" : one.object, one.path, one.message, one.severity]);
    const known = found.get(key) ?? { first: one, objects: new Set() };
    known.objects.add(one.object);
    found.set(key, known);
  }
  return [...found.values()].map(({ first, objects }) =>
    objects.size > 1 ? { ...first, object: `${first.object} and ${objects.size - 1} more` } : first,
  );
}

/** Problems as progress steps, errors last. */
export function steps(problems: readonly Problem[]): Step[] {
  const states = { error: "error", warning: "warning", skipped: "note" } as const;
  const shown = dedupe(gathered(problems)).map(
    (one): Step => ({ state: states[one.severity ?? "error"], text: line(one) }),
  );
  return [...shown.filter(({ state }) => state !== "error"), ...shown.filter(({ state }) => state === "error")];
}
