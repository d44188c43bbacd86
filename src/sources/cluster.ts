import { boundNodes } from "../model/claims.ts";
import { type ClusterState, type Endpoint, emptyState, type NodeContext } from "../model/cluster.ts";
import { DEFAULT_RULE_SETTINGS, type RuleSettings } from "../model/limits.ts";
import { memo } from "../model/memo.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { ManifestObject, Node, Pod, Problem } from "../model/objects.ts";
import { type LastGood, reduceAllRules } from "./rules.ts";
import { idleImpairments } from "./unheard.ts";

export type { LastGood };

/** What one reduction sees: the sources' rows at one moment. */
export interface ClusterInput {
  node: NodeContext;
  objects: readonly ManifestObject[];
  endpoints: readonly Endpoint[];
  /** Problems that the sources found themselves. */
  problems: readonly Problem[];
  settings?: RuleSettings | undefined;
  /** ms since the epoch: an impairment whose time is over stands in no other's way. None is over if it is left out. */
  now?: number | undefined;
}

/**
 * Makes the cluster state of one node. Pure: pass the `lastGood` that the call before returned (an empty map at first).
 * Rules are read for this node's pods only: others enforce theirs.
 */
export function reduceCluster(before: LastGood, input: ClusterInput): { state: ClusterState; lastGood: LastGood } {
  const { node, endpoints, settings = DEFAULT_RULE_SETTINGS } = input;
  const pods = sorted(input.objects.filter((object): object is Pod => object.kind === "Pod"));
  const claims = boundNodes(node, sorted(input.objects.filter((object): object is Node => object.kind === "Node")));
  const held = new Set(endpoints.map(podKey));
  // one that has ended has rules for as long as it has a network
  const own = pods.filter((pod) => (pod.nodeName === node.name && !pod.ended) || held.has(podKey(pod.metadata)));
  const here = new Set(own.map((pod) => podKey(pod.metadata)));
  const { limits, impairments, programs, overruled, lastGood, problems } = reduceAllRules(before, {
    objects: sorted(input.objects),
    pods,
    here,
    endpoints,
    settings,
    now: input.now,
  });
  const idle = idleImpairments(impairments, { fq: node.fq, now: input.now ?? 0, told: problems });
  const state = {
    ...emptyState(node),
    nodes: claims.nodes,
    pods,
    endpoints: [...endpoints].sort(byPod),
    limits,
    impairments,
    programs,
    overruled,
    problems: [...input.problems, ...problems, ...idle, ...unboundWorkloads(input.objects), ...claims.problems],
  };
  return { state, lastGood };
}

function unboundWorkloads(objects: readonly ManifestObject[]): Problem[] {
  const read = new Set(["Pod", "Node", "Namespace", "ConfigMap", "Service", "EndpointSlice", "Limit", "Impairment"]);
  return objects
    .filter((object) => !read.has(object.kind))
    .map((object) => ({
      object: objectKey(object.kind, object.metadata),
      message: "an agent reads Pods that are bound to nodes; the lab makes them of workloads",
      severity: "skipped" as const,
    }));
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byPod = (a: Endpoint, b: Endpoint): number => order(podKey(a), podKey(b));

const keyOf = memo((metadata: ManifestObject["metadata"]) => objectKey("", metadata));

function sorted<T extends ManifestObject>(objects: readonly T[]): T[] {
  const keyed = objects.map((object) => ({ object, key: keyOf(object.metadata) }));
  return keyed.sort((a, b) => order(a.key, b.key)).map(({ object }) => object);
}
