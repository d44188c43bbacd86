import type { Container, Pod, PodTemplate, Workload } from "../objects.ts";
import { templateHash, uidOf, versionOf } from "./identity.ts";

/** What distinguishes the pods of a workload. */
export interface PodIdentity {
  name: string;
  /** The pod's position in its workload: ordinal, node name, or number of the attempt. */
  ordinal: number | string;
  nodeName?: string | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  annotations?: Readonly<Record<string, string>> | undefined;
  env?: readonly { name: string; value: string }[] | undefined;
}

/**
 * Creates a pod from a template. Its uid changes when the template changes (labels and annotations aside), and only
 * then.
 */
export function podOf(owner: Pick<Workload, "kind" | "metadata">, template: PodTemplate, identity: PodIdentity): Pod {
  const { kind, metadata } = owner;
  const { name, ordinal, nodeName, labels = {}, annotations = {}, env = [] } = identity;
  const { namespace } = metadata;
  const uid = uidOf(kind, namespace, metadata.name, name, ordinal, templateHash(template));
  const { containers, initContainers } = template.spec;
  const withEnv = (one: Container): Container => ({ ...one, env: [...one.env, ...env] });
  return withVersion({
    kind: "Pod",
    metadata: {
      name,
      namespace,
      uid,
      labels: { ...template.labels, ...labels },
      annotations: { ...template.annotations, ...annotations },
    },
    ...template.spec,
    ...(nodeName !== undefined && { nodeName }),
    ...(env.length > 0 && {
      containers: containers.map(withEnv),
      ...(initContainers && { initContainers: initContainers.map(withEnv) }),
    }),
    owner: `${kind}/${metadata.name}`,
  });
}

/** A pod of the manifests, with a uid if it has none, and a version of its content. */
export function standalonePod(pod: Pod): Pod {
  const { metadata, ...spec } = pod;
  const uid = metadata.uid ?? uidOf("Pod", metadata.namespace, metadata.name, spec);
  return withVersion({ ...pod, metadata: { ...metadata, uid } });
}

function withVersion(pod: Pod): Pod {
  const { resourceVersion: _, ...metadata } = pod.metadata;
  return { ...pod, metadata: { ...metadata, resourceVersion: versionOf({ ...pod, metadata }) } };
}
