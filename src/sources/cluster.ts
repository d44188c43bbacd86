import { type Cidr, overlap, parseCidr, sizeOf } from "../model/addresses.ts";
import { type ClusterState, type Endpoint, emptyState, type NodeContext } from "../model/cluster.ts";
import {
  DEFAULT_RULE_SETTINGS,
  type LimitRule,
  limitsOf,
  type PodRules,
  type RuleSettings,
  reduceRules,
} from "../model/limits.ts";
import { objectKey, podKey } from "../model/names.ts";
import type { ManifestObject, Node, Pod, Problem } from "../model/objects.ts";

/** What one reduction sees: the sources' rows at one moment. */
export interface ClusterInput {
  node: NodeContext;
  objects: readonly ManifestObject[];
  endpoints: readonly Endpoint[];
  /** Problems that the sources found themselves. */
  problems: readonly Problem[];
  settings?: RuleSettings | undefined;
}

/** Last good rules by pod (`namespace/name`). Plain data; keep it over a restart and bad values keep meaning it. */
export type LastGood = ReadonlyMap<string, PodRules>;

/**
 * Makes the cluster state of one node. Pure: pass the `lastGood` that the call before returned (an empty map at first).
 * Rules are read for this node's pods only: others enforce theirs.
 */
export function reduceCluster(lastGood: LastGood, input: ClusterInput): { state: ClusterState; lastGood: LastGood } {
  const { node, endpoints, settings = DEFAULT_RULE_SETTINGS } = input;
  const pods = sorted(input.objects.filter((object): object is Pod => object.kind === "Pod"));
  const nodes = sorted(input.objects.filter((object): object is Node => object.kind === "Node"));
  const byKey = new Map(endpoints.map((endpoint) => [podKey(endpoint), endpoint]));
  const problems: Problem[] = [...input.problems];
  const limits = new Map<string, readonly LimitRule[]>();
  const next = new Map<string, PodRules>();

  for (const pod of pods) {
    const key = podKey(pod.metadata);
    if (pod.nodeName !== node.name && !byKey.has(key)) continue;
    const reduced = reduceRules(lastGood.get(key), pod.metadata, settings);
    problems.push(...reduced.problems);
    if (Object.keys(reduced.rules.byKey).length > 0) next.set(key, reduced.rules);
    if (reduced.limits.length > 0) limits.set(key, reduced.limits);
    if (pod.hostNetwork && reduced.limits.length > 0) problems.push(hostNetworkProblem(pod));
  }
  keepForLiving(lastGood, next, limits, pods, endpoints);
  problems.push(...unboundWorkloads(input.objects), ...overlappingNodes(nodes));
  const sortedEndpoints = [...endpoints].sort(byPod);
  const state = { ...emptyState(node), nodes, pods, endpoints: sortedEndpoints, limits, problems };
  return { state, lastGood: next };
}

/**
 * A pod's object goes before its network does. Its limits stay as long as the network: else a dying pod would send
 * at full speed.
 */
function keepForLiving(
  lastGood: LastGood,
  next: Map<string, PodRules>,
  limits: Map<string, readonly LimitRule[]>,
  pods: readonly Pod[],
  endpoints: readonly Endpoint[],
): void {
  const known = new Set(pods.map((pod) => podKey(pod.metadata)));
  for (const endpoint of endpoints) {
    const key = podKey(endpoint);
    const rules = known.has(key) ? undefined : lastGood.get(key);
    if (!rules) continue;
    next.set(key, rules);
    limits.set(key, limitsOf(rules));
  }
}

function hostNetworkProblem(pod: Pod): Problem {
  const message = "limits are not enforced: the pod uses its node's network and has no device of its own";
  return { object: objectKey("Pod", pod.metadata), path: "spec.hostNetwork", message, severity: "warning" };
}

function unboundWorkloads(objects: readonly ManifestObject[]): Problem[] {
  const read = new Set(["Pod", "Node", "Namespace", "ConfigMap"]);
  return objects
    .filter((object) => !read.has(object.kind))
    .map((object) => ({
      object: objectKey(object.kind, object.metadata),
      message: "an agent reads Pods that are bound to nodes; the lab makes them of workloads",
      severity: "skipped" as const,
    }));
}

interface Network {
  node: Node;
  text: string;
  cidr: Cidr;
}

function overlappingNodes(nodes: readonly Node[]): Problem[] {
  const networks: Network[] = [];
  for (const node of nodes) {
    for (const text of node.podCIDRs) {
      const cidr = parseCidr(text);
      if (cidr.ok) networks.push({ node, text, cidr: cidr.value });
    }
  }
  networks.sort((a, b) => a.cidr.family - b.cidr.family || (a.cidr.base < b.cidr.base ? -1 : 1));
  const problems: Problem[] = [];
  // Sorted by first address, a network can overlap only what reaches furthest so far.
  let widest: Network | undefined;
  for (const network of networks) {
    if (widest && overlap(widest.cidr, network.cidr)) problems.push(overlapProblem(network, widest));
    if (!widest || widest.cidr.family !== network.cidr.family || endOf(network.cidr) > endOf(widest.cidr))
      widest = network;
  }
  return problems;
}

const endOf = (cidr: Cidr): bigint => cidr.base + sizeOf(cidr);

function overlapProblem({ node, text }: Network, other: Network): Problem {
  const message = `${text} overlaps ${other.text} of Node/${other.node.metadata.name}; packets for it have two ways`;
  return { object: objectKey("Node", node.metadata), path: "spec.podCIDRs", message };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byPod = (a: Endpoint, b: Endpoint): number => order(podKey(a), podKey(b));

function sorted<T extends ManifestObject>(objects: readonly T[]): T[] {
  return [...objects].sort((a, b) => order(objectKey("", a.metadata), objectKey("", b.metadata)));
}
