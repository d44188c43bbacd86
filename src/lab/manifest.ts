import { manifestOf } from "../model/manifest.ts";
import type { Ended, Namespace, Node, RuleObject } from "../model/objects.ts";
import type { BoundPod } from "./pod-host.ts";

/** A bound pod as an ordinary Kubernetes manifest, in the form of YAML that JSON is. Agents read it. */
export function podManifest(
  { pod, uid, node, resourceVersion }: BoundPod,
  ips: readonly string[] = [],
  ended?: Ended,
): string {
  const status = { ...(ips.length > 0 && { ips }), ...(ended && { ended }) };
  return text(manifestOf({ ...pod, nodeName: node, ...status, metadata: { ...pod.metadata, uid, resourceVersion } }));
}

/**
 * Nodes, and what says how pods' traffic is treated, as one file: it changes whole. The nodes carry the version, by which
 * an agent tells what it has put in force.
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
