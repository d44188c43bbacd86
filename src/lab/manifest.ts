import type { EnvVar, Node, Pod } from "../model/objects.ts";
import type { BoundPod } from "./pod.ts";

/** A bound pod as an ordinary Kubernetes manifest, in the form of YAML that JSON is. Agents read it. */
export function podManifest({ pod, uid, node, resourceVersion }: BoundPod): string {
  const { name, namespace, labels, annotations } = pod.metadata;
  return manifest({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, uid, resourceVersion, labels, annotations },
    spec: {
      nodeName: node,
      hostNetwork: pod.hostNetwork,
      restartPolicy: pod.restartPolicy,
      containers: pod.containers.map((one) => ({
        name: one.name,
        image: one.image,
        command: one.command,
        args: one.args,
        env: one.env.map(variable),
        workingDir: one.workingDir,
      })),
    },
  });
}

/** Only what has a value of its own: references stay with the lab, which resolves them. */
function variable(one: EnvVar): { name: string; value: string } {
  return { name: one.name, value: one.value };
}

export function nodeManifest(node: Node): string {
  const { name, labels, annotations, resourceVersion } = node.metadata;
  return manifest({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels, annotations, resourceVersion },
    spec: { podCIDR: node.podCIDRs[0], podCIDRs: node.podCIDRs },
    status: { addresses: node.addresses.map((address) => ({ type: "InternalIP", address })) },
  });
}

function manifest(object: object): string {
  return `${JSON.stringify(object, null, 2)}\n`;
}

/** Key of a pod everywhere in the lab. */
export function keyOf(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}
