import { delays, type ImpairRule, NO_FQ } from "../model/impair.ts";
import { objectKey } from "../model/names.ts";
import type { Impairment, Limit, Problem } from "../model/objects.ts";
import type { Overruled } from "../model/precedence.ts";
import { NOBODY } from "../model/rule-objects.ts";

/** What authors are told of rules that are in order and do nothing all the same. */

/**
 * Of rules that others come before: one problem for each author, field and effect, however many pods it is about. A
 * conflict of two of one rank is told as that. By pod, `namespace/name`.
 */
export function overruledProblems(overruled: ReadonlyMap<string, readonly Overruled<unknown>[]>): Problem[] {
  const found = new Map<string, { one: Overruled<unknown>; pods: Set<string> }>();
  for (const [pod, all] of overruled) {
    for (const one of all) {
      if (one.agrees || one.isConflict) continue;
      const key = [one.object, one.path, one.what].join(" ");
      const known = found.get(key) ?? { one, pods: new Set() };
      known.pods.add(pod);
      found.set(key, known);
    }
  }
  return [...found.values()].map(({ one: { object, path, what, by }, pods: [...pods] }) => {
    const more = pods.length > 1 ? ` and ${pods.length - 1} more` : "";
    const message = `says ${what}, but for ${pods[0]}${more} ${by.object} comes first (${by.what})`;
    return { object, path, message, severity: "warning" as const };
  });
}

/** Of an object that chooses no pod that is known. `hasService`: the Service that it names is there. */
export function emptyChoice({ kind, metadata, spec }: Limit | Impairment, hasService?: boolean): Problem {
  const { namespace } = metadata;
  const field = spec.pod !== undefined ? "pod" : spec.selector !== undefined ? "selector" : "service";
  const why = {
    pod: `there is no pod ${namespace}/${spec.pod}`,
    selector: `no pod of namespace ${namespace} has such labels`,
    service:
      hasService === false
        ? `there is no Service ${namespace}/${spec.service}`
        : `Service ${namespace}/${spec.service} selects no pod`,
  }[field];
  const message = `chooses no pod: ${why}`;
  return { object: objectKey(kind, metadata), path: `spec.${field}`, message, severity: "warning" };
}

const PEERS = "spec.match.peers";

/** Of impairments that cannot act, or not with all their effects, on the pods of a node. `told`: a peer that is missing is not told twice. */
export function idleImpairments(
  impairments: ReadonlyMap<string, readonly ImpairRule[]>,
  { fq = false, now, told }: { fq?: boolean | undefined; now: number; told: readonly Problem[] },
): Problem[] {
  const missing = new Set(told.flatMap(({ object, path }) => (path?.startsWith(PEERS) ? [object] : [])));
  const found = new Map<string, Problem>();
  for (const rule of [...impairments.values()].flat()) {
    const isOver = (rule.lease?.until ?? Number.POSITIVE_INFINITY) <= now;
    if (isOver || found.has(rule.source)) continue;
    if (rule.match.peers?.length === 0) {
      if (missing.has(rule.source)) continue;
      found.set(rule.source, { object: rule.source, path: PEERS, message: NOBODY, severity: "warning" });
    } else if (!fq && delays(rule)) {
      found.set(rule.source, { object: rule.source, path: "spec", message: NO_FQ });
    }
  }
  return [...found.values()];
}
