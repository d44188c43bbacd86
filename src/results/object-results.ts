import type { Problem } from "../model/problem.ts";
import type { ObjectResult } from "./conditions.ts";

/** One rule on one pod, as the agent's API gives it. */
export interface Receipt {
  namespace: string;
  pod: string;
  direction: string | null;
  source: string;
  effective: number | string | null;
  reason: string | null;
}

/**
 * What a node's agent found about each object that is the source of receipts or of problems, by `Kind/namespace/name`.
 * `refused`: objects that the source itself could not read. Pure.
 */
export function objectResultsOf(
  receipts: readonly Receipt[],
  problems: readonly Problem[],
  refused: readonly Problem[],
): Map<string, ObjectResult> {
  const found = new Map<string, { refusals: Set<string>; pods: Set<string>; faults: Set<string> }>();
  const about = (object: string) => {
    const one = found.get(object) ?? { refusals: new Set(), pods: new Set(), faults: new Set() };
    found.set(object, one);
    return one;
  };
  for (const { object, path, message } of refused) about(object).refusals.add(path ? `${path}: ${message}` : message);
  for (const { namespace, pod, direction, source, effective, reason } of receipts) {
    const one = about(source);
    one.pods.add(`${namespace}/${pod}`);
    if (reason !== null || effective === null) one.faults.add(`${pod} ${direction}: ${reason ?? "not in force"}`);
  }
  const unread = new Set(refused);
  for (const problem of problems) {
    // a warning does not prevent a rule from being in force, unless its receipt says so
    if ((problem.severity ?? "error") !== "error" || unread.has(problem)) continue;
    about(problem.object).faults.add(problem.message);
  }
  return new Map(
    [...found].map(([object, { refusals, pods, faults }]) => [
      object,
      { refusals: [...refusals], pods: pods.size, faults: [...faults].sort() },
    ]),
  );
}
