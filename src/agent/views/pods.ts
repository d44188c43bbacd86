import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import { type ClusterState, podDevices } from "../../model/cluster.ts";
import type { Problem } from "../../model/objects.ts";

export const podKey = (pod: { namespace: string; name: string }): string => `${pod.namespace}/${pod.name}`;

/**
 * This node's pods: those bound to it and those whose network it holds. `pending`: keys of pods with rules that are still
 * being made real; their objects count as in force after that.
 */
export function podItems(
  state: ClusterState,
  inForce: (device: string) => boolean,
  pending: ReadonlySet<string> = new Set(),
): Plain<schema.Pod>[] {
  const endpoints = podDevices(state);
  const pods = new Map(state.pods.map((pod) => [podKey(pod.metadata), pod]));
  const here = [...pods].filter(([key, pod]) => pod.nodeName === state.node.name || endpoints.has(key));
  const keys = new Set([...here.map(([key]) => key), ...endpoints.keys()]);
  return [...keys].sort().map((key) => {
    const pod = pods.get(key);
    const endpoint = endpoints.get(key);
    const [namespace = "", name = ""] = key.split("/");
    const up = endpoint !== undefined && inForce(endpoint.device);
    return {
      namespace,
      name,
      ips: up ? [...endpoint.ips] : [],
      device: up ? endpoint.device : null,
      resourceVersion: pending.has(key) ? null : (pod?.metadata.resourceVersion ?? null),
      problems: problemsOf(state.problems, key),
    };
  });
}

const NO_NETWORK = "the pod has no network of Weir's on this node";

/** Why a pod that no port is of has its rules not enforced. */
export function whyNoPort(problems: readonly Problem[], key: string): string {
  const known = problems.find(
    ({ object, path }) => object === `Pod/${key}` && /^(spec\.hostNetwork|status\.podIPs)$/.test(path ?? ""),
  );
  return known?.message.replace("its rules are not enforced: ", "") ?? NO_NETWORK;
}

/** Why a rule does not count. `until`: when what comes before it ends. */
export function whyOverruled({ object, what }: { object: string; what: string }, until?: number): string {
  const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
  return `overruled: ${object} comes first (${what})${end}`;
}

/** Problems of one pod. */
export function problemsOf(problems: readonly Problem[], key: string): schema.Problem[] {
  return problems
    .filter((problem) => problem.object === `Pod/${key}`)
    .map(({ object, path, message, severity }) => ({ object, path, message, severity }));
}
