import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import type { ManifestObject } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { Store } from "../store/store.ts";
import { Cluster } from "./cluster.ts";
import { overruledProblemsOf } from "./ineffective.ts";
import { Rules } from "./rules.ts";

/**
 * Pure. Returns the problems that the rules in these objects would have, whichever node their pods run on.
 * @param now ms since the epoch
 */
export function ruleProblems(objects: readonly ManifestObject[], now: number): Problem[] {
  const store = new Store(now);
  const cluster = new Cluster(store, undefined, DEFAULT_RULE_SETTINGS);
  const rules = new Rules(store, cluster, DEFAULT_RULE_SETTINGS);
  for (const one of objects) cluster.put(objectKey(one.kind, one.metadata), one);
  store.settle(now);
  return [...store.problems(), ...overruledProblemsOf(rules)];
}
