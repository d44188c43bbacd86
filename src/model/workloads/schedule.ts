import { objectKey, podKey } from "../names.ts";
import type { Node, Pod } from "../objects.ts";
import type { Problem } from "../problem.ts";

/** Node names by pod (`namespace/name`). */
export type Bindings = ReadonlyMap<string, string>;

export interface Scheduled {
  /** Pods with a node. */
  pods: readonly Pod[];
  /** Pass this to the next call. */
  bindings: Bindings;
  problems: readonly Problem[];
}

/** True if `nodeName` and `nodeSelector` allow the pod on the node. */
export function selects(spec: Pick<Pod, "nodeName" | "nodeSelector">, node: Node): boolean {
  const { name, labels } = node.metadata;
  if (spec.nodeName !== undefined && spec.nodeName !== name) return false;
  const all: Record<string, string> = { "kubernetes.io/hostname": name, ...labels };
  return Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => Object.hasOwn(all, key) && all[key] === value);
}

/**
 * Binds pods to nodes. `nodeName` is honoured; a bound pod stays; any other pod goes to the node with the fewest pods
 * of its workload, then the fewest pods, then the first. Pure. Adding a pod moves no other pod.
 */
export function schedule(pods: readonly Pod[], nodes: readonly Node[], previous: Bindings): Scheduled {
  const bindings = new Map<string, string>();
  const problems: Problem[] = [];
  const load = new Load();
  const bind = (pod: Pod, node: string): void => {
    bindings.set(podKey(pod.metadata), node);
    load.add(node, pod);
  };
  const fitting = (pod: Pod): Node[] => nodes.filter((node) => selects(pod, node));
  const waiting: Pod[] = [];
  for (const pod of pods) {
    const before = pod.nodeName ?? previous.get(podKey(pod.metadata));
    if (before !== undefined && fitting(pod).some((node) => node.metadata.name === before)) bind(pod, before);
    else waiting.push(pod);
  }
  for (const pod of waiting) {
    const best = load.least(fitting(pod), pod);
    if (best) bind(pod, best.metadata.name);
    else problems.push(unbound(pod));
  }
  const bound = pods.flatMap((pod): Pod[] => {
    const nodeName = bindings.get(podKey(pod.metadata));
    return nodeName === undefined ? [] : [pod.nodeName === nodeName ? pod : { ...pod, nodeName }];
  });
  return { pods: bound, bindings, problems };
}

function unbound(pod: Pod): Problem {
  const object = objectKey("Pod", pod.metadata);
  if (pod.nodeName !== undefined) return { object, path: "spec.nodeName", message: `there is no node ${pod.nodeName}` };
  return { object, path: "spec.nodeSelector", message: "no node has these labels: the pod is not started" };
}

/** Number of pods per node, and per workload and node. */
class Load {
  readonly #counts = new Map<string, number>();

  add(node: string, pod: Pod): void {
    for (const key of keys(node, pod)) this.#counts.set(key, this.#count(key) + 1);
  }

  least(nodes: readonly Node[], pod: Pod): Node | undefined {
    let best: { node: Node; own: number; all: number } | undefined;
    for (const node of nodes) {
      const [own, all] = keys(node.metadata.name, pod).map((key) => this.#count(key)) as [number, number];
      if (!best || own < best.own || (own === best.own && all < best.all)) best = { node, own, all };
    }
    return best?.node;
  }

  #count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

function keys(node: string, pod: Pod): [string, string] {
  return [`${node} ${pod.metadata.namespace} ${pod.owner ?? ""}`, node];
}
