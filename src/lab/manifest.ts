import { manifestOf } from "../model/manifest.ts";
import type { Node } from "../model/objects.ts";
import type { BoundPod } from "./pod.ts";

/** A bound pod as an ordinary Kubernetes manifest, in the form of YAML that JSON is. Agents read it. */
export function podManifest({ pod, uid, node, resourceVersion }: BoundPod): string {
  return text(manifestOf({ ...pod, nodeName: node, metadata: { ...pod.metadata, uid, resourceVersion } }));
}

export function nodeManifest(node: Node): string {
  return text(manifestOf(node));
}

function text(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
