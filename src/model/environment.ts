import { objectKey } from "./names.ts";
import type { ConfigMap, Container, EnvSource, EnvVar, Pod, Problem } from "./objects.ts";
import { quote } from "./text.ts";

/** What is known of a pod only once it runs. Addresses: IPv4 first. */
export interface PodFacts {
  podIPs: readonly string[];
  hostIPs: readonly string[];
}

export interface ResolvedContainer {
  command: readonly string[];
  args: readonly string[];
  /** Later ones win. */
  env: readonly { name: string; value: string }[];
  problems: readonly Problem[];
}

/**
 * A container as it is to be started: variables taken from ConfigMaps and the pod's fields, `$(NAME)` put in.
 * A missing ConfigMap or key that is not optional is a problem: the container must not start.
 */
export function resolveContainer(
  pod: Pod,
  container: Container,
  configMaps: readonly ConfigMap[],
  facts: PodFacts,
): ResolvedContainer {
  const own = configMaps.filter((one) => one.metadata.namespace === pod.metadata.namespace);
  const maps = new Map(own.map((one) => [one.metadata.name, one]));
  const env = new Map<string, string>();
  const missing: { path: string; message: string }[] = [];
  for (const from of container.envFrom ?? []) {
    const map = maps.get(from.configMap);
    const message = `there is no ConfigMap ${pod.metadata.namespace}/${from.configMap}`;
    if (!map && !from.optional) missing.push({ path: "envFrom", message });
    for (const [key, value] of Object.entries(map?.data ?? {})) env.set(from.prefix + key, value);
  }
  for (const variable of container.env) {
    const value = variable.from ? lookUp(variable.from, pod, maps, facts) : substitute(variable.value, env);
    if (value !== undefined) env.set(variable.name, value);
    else missing.push(...missingIn(variable, pod.metadata.namespace));
  }
  const object = objectKey("Pod", pod.metadata);
  return {
    command: container.command.map((text) => substitute(text, env)),
    args: container.args.map((text) => substitute(text, env)),
    env: [...env].map(([name, value]) => ({ name, value })),
    problems: missing.map((one) => ({ object, ...one, path: `spec.containers["${container.name}"].${one.path}` })),
  };
}

function missingIn({ name, from }: EnvVar, namespace: string): { path: string; message: string }[] {
  if (!from) return [];
  const path = `env[${quote(name)}]`;
  if ("field" in from) return [{ path, message: `the pod has no ${from.field}` }];
  if (from.optional) return [];
  return [{ path, message: `ConfigMap ${namespace}/${from.configMap} has no key ${quote(from.key)}` }];
}

function lookUp(from: EnvSource, pod: Pod, maps: ReadonlyMap<string, ConfigMap>, facts: PodFacts): string | undefined {
  if ("field" in from) return fieldOf(from.field, pod, facts);
  const data = maps.get(from.configMap)?.data ?? {};
  return Object.hasOwn(data, from.key) ? data[from.key] : undefined;
}

function fieldOf(field: string, pod: Pod, { podIPs, hostIPs }: PodFacts): string | undefined {
  const { metadata, nodeName } = pod;
  const entry = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(field);
  // A label that is not there is an empty variable, as in Kubernetes.
  if (entry)
    return Object.entries(metadata[entry[1] as "labels" | "annotations"]).find(([key]) => key === entry[2])?.[1] ?? "";
  const fields: Record<string, string | undefined> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "metadata.uid": metadata.uid,
    "spec.nodeName": nodeName,
    "status.podIP": podIPs[0],
    "status.podIPs": podIPs.join(",") || undefined,
    "status.hostIP": hostIPs[0],
    "status.hostIPs": hostIPs.join(",") || undefined,
  };
  return Object.hasOwn(fields, field) ? fields[field] : undefined;
}

/** Puts variables in for `$(NAME)`. An unknown one stays as written; `$$` is a dollar sign. */
function substitute(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return "$";
    return env.get(name) ?? whole;
  });
}
