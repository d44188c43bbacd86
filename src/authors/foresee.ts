import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import type { ManifestObject, Problem } from "../model/objects.ts";
import { Store } from "../store/store.ts";
import { Cluster } from "./cluster.ts";
import { Rules } from "./rules.ts";
import { overruledProblemsOf } from "./unheard.ts";

/** What would be wrong with the rules of these objects, on whatever node their pods are. `now`: ms since the epoch. Pure. */
export function ruleProblems(objects: readonly ManifestObject[], now: number): Problem[] {
  const store = new Store(now);
  const cluster = new Cluster(store, undefined, DEFAULT_RULE_SETTINGS);
  const rules = new Rules(store, cluster, DEFAULT_RULE_SETTINGS);
  for (const one of objects) cluster.put(objectKey(one.kind, one.metadata), one);
  store.settle(now);
  return [...store.problems(), ...overruledProblemsOf(rules)];
}
