import { objectKey } from "./names.ts";
import type { ConfigMap, ConfigRef, Container, EnvSource, Pod, Resources, Secret } from "./objects.ts";
import type { Problem } from "./problem.ts";
import { ceiling, parseQuantity } from "./quantity.ts";
import { quote } from "./text.ts";

/** Properties of a pod that are known only at run time. Addresses: IPv4 first. */
export interface PodFacts {
  podIPs: readonly string[];
  hostIPs: readonly string[];
  /** Resources of the machine as quantities: `cpu`, `memory`. */
  capacity?: Readonly<Record<string, string>> | undefined;
}

export interface ResolvedContainer {
  command: readonly string[];
  args: readonly string[];
  /** Of two variables with the same name the later counts. */
  env: readonly { name: string; value: string }[];
  problems: readonly Problem[];
}

/** Objects whose data can be used as variables. */
export type ConfigObject = ConfigMap | Secret;
type Configs = ReadonlyMap<string, ConfigObject>;

/** An error keeps the container from starting; a skipped variable is only left out. */
type FieldProblem = Pick<Problem, "path" | "message" | "severity">;

/**
 * Resolves a container's variables from ConfigMaps, Secrets and fields of the pod, and substitutes `$(NAME)`. A missing
 * required source is an error: the container must not start. Sources that the lab does not have are `skipped`.
 */
export function resolveContainer(
  pod: Pod,
  container: Container,
  configs: readonly ConfigObject[],
  facts: PodFacts,
): ResolvedContainer {
  const { namespace } = pod.metadata;
  const own = configs.filter(({ metadata }) => metadata.namespace === namespace);
  const known: Configs = new Map(own.map((one) => [`${one.kind}/${one.metadata.name}`, one]));
  const env = new Map<string, string>();
  const found: FieldProblem[] = [];
  for (const from of container.envFrom ?? []) {
    const config = known.get(`${from.kind}/${from.name}`);
    if (!config && !from.optional) found.push({ path: "envFrom", message: absent(from, namespace) });
    for (const [key, value] of Object.entries(config?.data ?? {})) env.set(from.prefix + key, value);
  }
  for (const variable of container.env) {
    const { name, value: written, from } = variable;
    const value = from ? lookUp(from, { pod, container, known, facts }) : substitute(written, env);
    if (value !== undefined) env.set(name, value);
    else if (from) found.push(...missingIn(name, from, namespace, known));
  }
  const object = objectKey("Pod", pod.metadata);
  return {
    command: container.command.map((text) => substitute(text, env)),
    args: container.args.map((text) => substitute(text, env)),
    env: [...env].map(([name, value]) => ({ name, value })),
    problems: found.map((one) => ({ object, ...one, path: `spec.containers["${container.name}"].${one.path}` })),
  };
}

const absent = ({ kind, name }: ConfigRef, namespace: string): string => `there is no ${kind} ${namespace}/${name}`;

function missingIn(name: string, from: EnvSource, namespace: string, known: Configs): FieldProblem[] {
  const path = `env[${quote(name)}]`;
  if ("field" in from) return [{ path, message: `the pod has no ${from.field}` }];
  if ("other" in from) return [{ path, message: `the lab has no ${from.other}: left out`, severity: "skipped" }];
  if ("resource" in from) return [{ path, message: `there is no container ${quote(from.container ?? "")}` }];
  if (from.optional) return [];
  if (!known.has(`${from.kind}/${from.name}`)) return [{ path, message: absent(from, namespace) }];
  return [{ path, message: `${from.kind} ${namespace}/${from.name} has no key ${quote(from.key)}` }];
}

interface Place {
  pod: Pod;
  container: Container;
  known: Configs;
  facts: PodFacts;
}

function lookUp(from: EnvSource, { pod, container, known, facts }: Place): string | undefined {
  if ("field" in from) return fieldOf(from.field, pod, facts);
  if ("other" in from) return undefined;
  if ("resource" in from) {
    const asked = from.container === undefined ? container : pod.containers.find(({ name }) => name === from.container);
    return asked && amountOf(from, asked.resources ?? {}, facts);
  }
  const data = known.get(`${from.kind}/${from.name}`)?.data ?? {};
  return Object.hasOwn(data, from.key) ? data[from.key] : undefined;
}

/** As in the kubelet: a missing limit is the machine's capacity, a missing request is the limit, or 0. */
function amountOf(
  { resource, divisor }: { resource: string; divisor: string },
  { limits = {}, requests = {} }: Resources,
  { capacity }: PodFacts,
): string {
  const name = resource.slice(resource.indexOf(".") + 1);
  const entry = (map: Readonly<Record<string, string>>) => (Object.hasOwn(map, name) ? map[name] : undefined);
  const isLimit = resource.startsWith("limits.");
  const own = isLimit ? entry(limits) : (entry(requests) ?? entry(limits));
  const amount = parseQuantity(own ?? (isLimit ? entry(capacity ?? {}) : undefined) ?? "0");
  const unit = parseQuantity(divisor);
  if (!amount.ok || !unit.ok) return "0";
  const { numerator, denominator } = unit.value.numerator === 0n ? ONE : unit.value;
  return ceiling({
    numerator: amount.value.numerator * denominator,
    denominator: amount.value.denominator * numerator,
  }).toString();
}

const ONE = { numerator: 1n, denominator: 1n };

function fieldOf(field: string, pod: Pod, { podIPs, hostIPs }: PodFacts): string | undefined {
  const { metadata, nodeName } = pod;
  const entry = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(field);
  // as in Kubernetes, a missing label is an empty variable
  if (entry)
    return Object.entries(metadata[entry[1] as "labels" | "annotations"]).find(([key]) => key === entry[2])?.[1] ?? "";
  const fields: Record<string, string | undefined> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "metadata.uid": metadata.uid,
    "spec.nodeName": nodeName,
    "spec.serviceAccountName": pod.serviceAccountName ?? "default",
    "status.podIP": podIPs[0],
    "status.podIPs": podIPs.join(",") || undefined,
    "status.hostIP": hostIPs[0],
    "status.hostIPs": hostIPs.join(",") || undefined,
  };
  return Object.hasOwn(fields, field) ? fields[field] : undefined;
}

/** Substitutes `$(NAME)`. An unknown name is kept; `$$` is a dollar sign. */
function substitute(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return "$";
    return env.get(name) ?? whole;
  });
}
