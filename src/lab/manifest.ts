import { manifestOf } from "../model/manifest.ts";
import type { Ended, Namespace, Node, RuleObject } from "../model/objects.ts";
import type { BoundPod } from "./pod-host.ts";

/** A bound pod as a Kubernetes manifest in JSON, which is also YAML. Agents read it. */
export function podManifest(
  { pod, uid, node, resourceVersion }: BoundPod,
  ips: readonly string[] = [],
  ended?: Ended,
): string {
  const status = { ...(ips.length > 0 && { ips }), ...(ended && { ended }) };
  return text(manifestOf({ ...pod, nodeName: node, ...status, metadata: { ...pod.metadata, uid, resourceVersion } }));
}

/**
 * Nodes and rules as one file, so that they change together. The nodes carry the version; an agent reports it when it
 * is in force.
 */
export function clusterManifest(
  nodes: readonly Node[],
  rules: readonly (RuleObject | Namespace)[],
  version: string,
): string {
  const versioned = nodes.map((node) => ({ ...node, metadata: { ...node.metadata, resourceVersion: version } }));
  return text({ apiVersion: "v1", kind: "List", items: [...versioned, ...rules].map(manifestOf) });
}

function text(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
