import { podSysctl } from "../../model/sysctls.ts";
import type { Remark } from "./remark.ts";
import { type Fields, isFields } from "./types.ts";

/** Fields of pods and workloads that the lab ignores. Each is reported as skipped. */

const NO_USERS = "is not acted on: containers run as root, with root's capabilities";

const OF_POD: Readonly<Record<string, string>> = {
  ephemeralContainers: "ephemeral containers are not run",
  affinity: "affinity is not evaluated; use nodeName or nodeSelector",
  topologySpreadConstraints: "spread constraints are not evaluated; pods are spread evenly",
  schedulingGates: "gates are not waited for",
  readinessGates: "gates are not waited for",
  hostPID: "each container has a process table of its own",
  shareProcessNamespace: "each container has a process table of its own",
  hostIPC: "each container has its own IPC namespace",
  hostUsers: "there are no user namespaces",
  dnsConfig: "is not acted on: names are resolved as on the machine",
  setHostnameAsFQDN: "is not acted on",
  runtimeClassName: "there is one runtime: the machine's own processes",
  resources: "resources are neither reserved nor limited",
};

const OF_CONTAINER: Readonly<Record<string, string>> = {
  securityContext: NO_USERS,
  resources: "resources are neither reserved nor limited",
  lifecycle: "hooks are not run",
  volumeDevices: "devices are not given to containers",
  restartPolicyRules: "rules are not evaluated; the pod's restartPolicy is",
};

const OF_WORKLOAD: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Deployment: { strategy: "is not acted on: changed pods are replaced at once", minReadySeconds: "is not waited for" },
  ReplicaSet: { minReadySeconds: "is not waited for" },
  StatefulSet: {
    updateStrategy: "is not acted on: changed pods are replaced at once",
    podManagementPolicy: "is not acted on: pods start side by side",
    minReadySeconds: "is not waited for",
  },
  DaemonSet: {
    updateStrategy: "is not acted on: changed pods are replaced at once",
    minReadySeconds: "is not waited for",
  },
  Job: {
    backoffLimitPerIndex: "is not acted on; backoffLimit is",
    podFailurePolicy: "is not evaluated",
    successPolicy: "is not evaluated",
    ttlSecondsAfterFinished: "is not acted on: what has ended stays",
  },
  CronJob: {
    startingDeadlineSeconds: "is not acted on: the last run that was missed starts",
    failedJobsHistoryLimit: "is not acted on; successfulJobsHistoryLimit counts all",
  },
};

/** Whether a value asks for anything. `Parallel` and the like ask for what the lab does anyway. */
function says(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "Parallel") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** Ignored fields of a workload's spec. */
export function* leftOutOfWorkload(kind: string, raw: Fields): Generator<Remark> {
  const { spec } = raw;
  if (!isFields(spec)) return;
  yield* among(spec, OF_WORKLOAD[kind] ?? {}, ["spec"]);
  const job = kind === "CronJob" && isFields(spec["jobTemplate"]) ? spec["jobTemplate"]["spec"] : undefined;
  if (isFields(job)) yield* among(job, OF_WORKLOAD["Job"] ?? {}, ["spec", "jobTemplate", "spec"]);
}

/** Ignored fields of the pod spec at `path`. If several containers have one, the first is reported. */
export function* leftOutOfPod(spec: Fields, path: readonly string[]): Generator<Remark> {
  yield* among(spec, OF_POD, path);
  yield* securityContext(spec, path);
  const told = new Set<string>();
  for (const [container, at] of containersOf(spec, path)) {
    for (const [what, finding] of ofContainer(container, at)) {
      if (!told.has(what)) yield finding;
      told.add(what);
    }
  }
}

function* containersOf(spec: Fields, path: readonly string[]): Generator<[Fields, PropertyKey[]]> {
  for (const list of ["initContainers", "containers"]) {
    const containers = spec[list];
    for (const [index, one] of Array.isArray(containers) ? containers.entries() : [])
      if (isFields(one)) yield [one, [...path, list, index]];
  }
}

function* among(
  fields: Fields,
  left: Readonly<Record<string, string>>,
  path: readonly PropertyKey[],
): Generator<Remark> {
  for (const [field, message] of Object.entries(left))
    if (says(fields[field])) yield { field: [...path, field], message, severity: "skipped" };
}

function* securityContext(spec: Fields, path: readonly string[]): Generator<Remark> {
  const context = spec["securityContext"];
  if (!isFields(context)) return;
  const { sysctls, ...rest } = context;
  const at = [...path, "securityContext"];
  const [other] = Object.keys(rest).filter((field) => says(rest[field]));
  if (other !== undefined) yield { field: [...at, other], message: NO_USERS, severity: "skipped" };
  for (const [index, one] of Array.isArray(sysctls) ? sysctls.entries() : []) {
    const name = isFields(one) ? one["name"] : undefined;
    if (typeof name !== "string" || podSysctl(name, { hostNetwork: spec["hostNetwork"] === true })) continue;
    const message = "is not set: only sysctls of the pod's own namespaces that a kubelet holds for safe are";
    yield { field: [...at, "sysctls", index], message, severity: "skipped" };
  }
}

function* ofContainer(container: Fields, path: readonly PropertyKey[]): Generator<[string, Remark]> {
  for (const finding of among(container, OF_CONTAINER, path)) yield [String(finding.field.at(-1)), finding];
  const { ports } = container;
  for (const [index, port] of Array.isArray(ports) ? ports.entries() : []) {
    if (!isFields(port) || !says(port["hostPort"])) continue;
    const message = "is not opened on the node; the pod's own address has the port";
    yield ["hostPort", { field: [...path, "ports", index, "hostPort"], message, severity: "skipped" }];
  }
  for (const field of ["startupProbe", "livenessProbe", "readinessProbe"]) {
    const probe = container[field];
    if (!isFields(probe) || !isFields(probe["grpc"])) continue;
    const message = "is not made: counts as passed";
    yield ["grpc", { field: [...path, field, "grpc"], message, severity: "skipped" }];
  }
}
