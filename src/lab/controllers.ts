import { createHash } from "node:crypto";
import type {
  ConfigMap,
  Container,
  CronJob,
  EnvSource,
  Job,
  ManifestObject,
  Node,
  Pod,
  PodTemplate,
  Problem,
  Workload,
} from "../model/objects.ts";
import { LabError } from "./errors.ts";
import type { BoundPod } from "./pod.ts";

/** Letters of generated names: Kubernetes' own, which spell no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** A generated suffix that depends on `seed` alone, so that the same manifest gives the same names each time. */
export function suffix(seed: string, length: number): string {
  const digest = createHash("sha256").update(seed).digest();
  return Array.from({ length }, (_, index) => ALPHABET[(digest[index] ?? 0) % ALPHABET.length]).join("");
}

/**
 * Controllers in one pure step: the pods that all objects together ask for. A workload's pods keep their names when its
 * template changes, so that a new annotation in the template changes pods live instead of replacing them.
 */
export function expandObjects(
  objects: readonly ManifestObject[],
  nodes: readonly Node[],
): { pods: Pod[]; problems: Problem[] } {
  const pods = new Map<string, Pod>();
  const problems: Problem[] = [];
  const add = (pod: Pod): void => {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    if (pods.has(key))
      problems.push({ object: `Pod/${key}`, message: "two objects make a pod of this name; the first counts" });
    else pods.set(key, pod);
  };
  for (const object of objects) if (object.kind === "Pod") add(object);
  for (const object of objects) {
    if (object.kind === "CronJob") problems.push(later(object));
    else if ("template" in object) for (const pod of podsOf(object, nodes)) add(pod);
  }
  return { pods: [...pods.values()], problems };
}

function later(job: CronJob): Problem {
  return {
    object: `CronJob/${job.metadata.namespace}/${job.metadata.name}`,
    message: "the lab starts no job by the clock; write a Job to run one now",
    severity: "skipped",
  };
}

function podsOf(object: Exclude<Workload, CronJob>, nodes: readonly Node[]): Pod[] {
  const { kind, metadata } = object;
  const count = (n: number): number[] => Array.from({ length: n }, (_, index) => index);
  const seed = (index: number | string): string => `${kind}/${metadata.namespace}/${metadata.name}/${index}`;
  const generated = (index: number | string): string => `${metadata.name}-${suffix(seed(index), 5)}`;
  switch (kind) {
    case "Deployment":
      return count(object.replicas).map((index) =>
        podOf(object, `${metadata.name}-${suffix(seed("set"), 9)}-${suffix(seed(index), 5)}`),
      );
    case "ReplicaSet":
      return count(object.replicas).map((index) => podOf(object, generated(index)));
    case "StatefulSet":
      return count(object.replicas).map((index) => podOf(object, `${metadata.name}-${object.start + index}`));
    case "DaemonSet":
      return nodes
        .filter((node) => takes(node, object.template))
        .map((node) => daemonPod(object, node, generated(node.metadata.name)));
    case "Job":
      return count(jobPods(object)).map((index) =>
        podOf(object, object.indexed ? `${metadata.name}-${index}-${suffix(seed(index), 5)}` : generated(index)),
      );
  }
}

function takes(node: Node, template: PodTemplate): boolean {
  const { nodeName, nodeSelector } = template.spec;
  if (nodeName !== undefined) return nodeName === node.metadata.name;
  return Object.entries(nodeSelector ?? {}).every(([key, value]) => node.metadata.labels[key] === value);
}

function daemonPod(object: Exclude<Workload, CronJob>, node: Node, name: string): Pod {
  return { ...podOf(object, name), nodeName: node.metadata.name };
}

/** As many pods as must succeed, all at once: the lab does not wait for one to end before it starts the next. */
function jobPods(job: Job): number {
  return job.suspend ? 0 : (job.completions ?? job.parallelism);
}

function podOf(object: Exclude<Workload, CronJob>, name: string): Pod {
  const { template, metadata, kind } = object;
  return {
    kind: "Pod",
    metadata: { name, namespace: metadata.namespace, labels: template.labels, annotations: template.annotations },
    ...template.spec,
    owner: `${kind}/${metadata.name}`,
  };
}

/**
 * The variables of a container: whole ConfigMaps first, then its own.
 * @throws LabError `no-config` if a ConfigMap or a key that is not optional is missing.
 */
export function environmentOf(
  objects: readonly ManifestObject[],
  bound: BoundPod,
  container: Container,
  ips: readonly string[],
  hostIPs: readonly string[],
): Record<string, string> {
  const { namespace } = bound.pod.metadata;
  const maps = new Map(
    objects
      .filter((object): object is ConfigMap => object.kind === "ConfigMap" && object.metadata.namespace === namespace)
      .map((object) => [object.metadata.name, object.data]),
  );
  const env = wholeMaps(bound, container, maps);
  const lookUp = (from: EnvSource): string | undefined => {
    if ("field" in from) return fieldOf(bound, from.field, ips, hostIPs);
    const value = maps.get(from.configMap)?.[from.key];
    if (value === undefined && !from.optional) {
      throw missing(bound, container, `key ${from.key} of ConfigMap ${from.configMap}`);
    }
    return value;
  };
  for (const { name, value, from } of container.env) {
    const found = from === undefined ? expandReferences(value, env) : lookUp(from);
    if (found !== undefined) env[name] = found;
  }
  return env;
}

function wholeMaps(
  bound: BoundPod,
  container: Container,
  maps: ReadonlyMap<string, ConfigMap["data"]>,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { configMap, prefix, optional } of container.envFrom ?? []) {
    const data = maps.get(configMap);
    if (data === undefined && !optional) throw missing(bound, container, `ConfigMap ${configMap}`);
    for (const [key, value] of Object.entries(data ?? {})) if (isVariable(prefix + key)) env[prefix + key] = value;
  }
  return env;
}

function missing(bound: BoundPod, container: Container, what: string): LabError {
  const { namespace } = bound.pod.metadata;
  return new LabError("no-config", `start container ${container.name}: ${what} is missing in namespace ${namespace}`);
}

function isVariable(name: string): boolean {
  return /^[A-Za-z_.-][A-Za-z0-9_.-]*$/.test(name);
}

/** `$(NAME)` of a variable set before; `$$` is a dollar. */
function expandReferences(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return "$";
    return Object.hasOwn(env, name) ? (env[name] as string) : whole;
  });
}

function fieldOf(
  bound: BoundPod,
  field: string,
  ips: readonly string[],
  hostIPs: readonly string[],
): string | undefined {
  const { pod, node, uid } = bound;
  const { name, namespace, labels, annotations } = pod.metadata;
  const fields: Readonly<Record<string, string | undefined>> = {
    "metadata.name": name,
    "metadata.namespace": namespace,
    "metadata.uid": uid,
    "spec.nodeName": node,
    "status.podIP": ips[0],
    "status.podIPs": ips.join(","),
    "status.hostIP": hostIPs[0],
    "status.hostIPs": hostIPs.join(","),
  };
  if (Object.hasOwn(fields, field)) return fields[field];
  const key = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(field);
  return (key?.[1] === "labels" ? labels : annotations)[key?.[2] ?? ""];
}
