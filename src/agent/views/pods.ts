import type { Plain } from "../../api/backend.ts";
import type * as schema from "../../api/schemas.ts";
import type { Problem } from "../../model/problem.ts";
import type { Agent } from "../agent.ts";

/** Problems of one object, `Kind/namespace/name`. */
export type ProblemsOf = (object: string) => readonly Problem[];

/** This node's pods: bound to it, or attached to its network. */
export function podItems({ planner, standing, programs, parts }: Agent): Plain<schema.Pod>[] {
  const { cluster } = planner;
  const ended = cluster.pods.keys("bound", planner.node.name).filter((key) => !cluster.localPods.has(key));
  return [...cluster.localPods.keys(), ...ended].toSorted().map((key) => {
    const pod = cluster.pods.get(key);
    const endpoint = cluster.attachments.get(key) ?? cluster.taps.get(key) ?? cluster.hosts.get(key);
    const [namespace = "", name = ""] = key.split("/");
    const up = endpoint !== undefined && parts.datapath.devices.ifindex(endpoint.device) !== undefined;
    const isPending = programs.pending.has(key);
    return {
      namespace,
      name,
      ips: up ? [...endpoint.ips] : [],
      device: up ? endpoint.device : null,
      resourceVersion: isPending ? null : (pod?.metadata.resourceVersion ?? null),
      problems: standing
        .problemsOf(`Pod/${key}`)
        .map(({ object, path, message, severity }) => ({ object, path, message, severity })),
    };
  });
}

const NO_NETWORK = "the pod has no network of Weir's on this node";

/** Why a pod without a port has none of its rules in force. */
export function whyNoPort(problemsOf: ProblemsOf, key: string): string {
  return problemsOf(`Pod/${key}`).find(({ notFound }) => notFound !== undefined)?.notFound ?? NO_NETWORK;
}

/** Why a rule is overruled. @param until when the winner ends */
export function whyOverruled({ object, what }: { object: string; what: string }, until?: number): string {
  const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
  return `overruled: ${object} comes first (${what})${end}`;
}
