import type { ContainerStatus, PodStatus } from "../status.ts";
import type { ApiPod, Condition } from "./objects.ts";

/** Waiting reasons of containers that could not be started, as a kubelet that never pulls names them. */
const WAITING: Readonly<Record<string, string>> = {
  "no-command": "ErrImageNeverPull",
  "bad-image": "ErrImageNeverPull",
  "no-config": "CreateContainerConfigError",
  "bad-volume": "CreateContainerConfigError",
};

export interface StatusInput {
  raw: ApiPod;
  /** The pod's state in the lab; undefined before it has one. */
  own: PodStatus | undefined;
  /** Why the pod cannot be run at all. */
  refused?: string | undefined;
  /** Addresses of the pod's node, IPv4 first. */
  hostIPs: readonly string[];
  /** RFC 3339, whole seconds, as in Kubernetes. */
  now: string;
  /** True if the lab has its own root for this image. */
  hasImage: (image: string) => boolean;
  /** All containers have ended for good: the last status of a deleted pod. */
  ended?: boolean | undefined;
}

/** `status` of a pod for the API, as a kubelet reports it. Pure. Timestamps of unchanged conditions are kept. */
export function apiStatus(input: StatusInput): Record<string, unknown> {
  const { raw, own, hostIPs, now } = input;
  const statuses = (raw.spec?.containers ?? []).map((one) => containerStatus(one, input));
  const inits = (raw.spec?.initContainers ?? []).map((one) => containerStatus(one, input));
  const phase = phaseOf(input, statuses);
  const ips = own?.ips ?? [];
  return {
    phase,
    ...(own?.reason != null && { reason: own.reason, message: own.message }),
    conditions: conditions(input, { statuses, inits }, phase),
    startTime: raw.status?.startTime ?? now,
    ...(hostIPs.length > 0 && { hostIP: hostIPs[0], hostIPs: hostIPs.map((ip) => ({ ip })) }),
    ...(ips.length > 0 && { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    ...(inits.length > 0 && { initContainerStatuses: inits }),
    containerStatuses: statuses,
  };
}

interface ApiContainerStatus {
  name: string;
  state: Record<string, Record<string, unknown>>;
  lastState: Record<string, unknown>;
  ready: boolean;
  started: boolean;
  restartCount: number;
  image: string;
  imageID: string;
  containerID?: string;
}

function containerStatus({ name, image = "" }: { name: string; image?: string }, input: StatusInput) {
  const { containers = [], initContainers = [] } = input.own ?? {};
  const own = [...initContainers, ...containers].find((one) => one.name === name);
  const id = `weir://${input.raw.metadata.uid ?? ""}/${name}/${own?.restarts ?? 0}`;
  const ran = own?.startedAt != null;
  const state = stateOf(own, input, id);
  const running = state["running"] !== undefined;
  // The previous run, whose start time is not known.
  const before = running && own !== undefined ? { ...own, startedAt: null } : own;
  const last = ran && before?.finishedAt != null && !state["terminated"] ? terminated(before, id) : undefined;
  const status: ApiContainerStatus = {
    name,
    state,
    lastState: last === undefined ? {} : { terminated: last },
    ready: running ? own?.ready === true : isDone(own, initContainers),
    started: running && own?.started === true,
    restartCount: own?.restarts ?? 0,
    image,
    imageID: image !== "" && input.hasImage(image) ? `weir://image/${image}` : "weir://machine",
    ...(ran && { containerID: id }),
  };
  return status;
}

/** True if an init container has completed. */
function isDone(own: ContainerStatus | undefined, initContainers: readonly ContainerStatus[]): boolean {
  return own?.over === true && own.exitCode === 0 && initContainers.includes(own);
}

function stateOf(own: ContainerStatus | undefined, input: StatusInput, id: string): ApiContainerStatus["state"] {
  const { refused } = input;
  if (refused !== undefined) return { waiting: { reason: "CreateContainerConfigError", message: refused } };
  if (input.ended) return { terminated: own === undefined ? { exitCode: 137, reason: "Error" } : terminated(own, id) };
  if (own === undefined) {
    const initialises = (input.own?.initContainers.length ?? 0) > 0;
    return { waiting: waiting(initialises ? "PodInitializing" : "ContainerCreating", input.own?.message) };
  }
  if (own.state === "running") return { running: { startedAt: seconds(own.startedAt) } };
  if (own.state === "waiting") return { waiting: waiting("ContainerCreating", input.own?.message) };
  const kept = own.failure === null ? undefined : WAITING[own.failure];
  if (kept !== undefined) return { waiting: waiting(kept, own.reason) };
  if (own.over) return { terminated: terminated(own, id) };
  if (own.failure !== null) return { waiting: waiting("RunContainerError", own.reason) };
  return { waiting: waiting("CrashLoopBackOff", `waits to be started again after ${own.reason}`) };
}

function waiting(reason: string, message: string | null | undefined): Record<string, unknown> {
  return { reason, ...(message != null && { message }) };
}

function terminated(own: ContainerStatus, id: string): Record<string, unknown> {
  const exitCode = own.exitCode ?? 137;
  return {
    exitCode,
    reason: exitCode === 0 ? "Completed" : own.failure === null ? "Error" : "StartError",
    ...(own.failure !== null && { message: own.reason }),
    startedAt: seconds(own.startedAt),
    finishedAt: seconds(own.finishedAt),
    ...(own.startedAt !== null && { containerID: id }),
  };
}

/** Timestamps in Kubernetes have no fractions of a second. */
export function seconds(time: string | null): string | null {
  return time === null ? null : time.replace(/\.\d+Z$/, "Z");
}

function phaseOf({ own, ended, refused }: StatusInput, statuses: readonly ApiContainerStatus[]): string {
  const codes = statuses.map((one) => one.state["terminated"]?.["exitCode"]);
  if (ended) return codes.every((code) => code === 0) ? "Succeeded" : "Failed";
  if (own === undefined || refused !== undefined) return "Pending";
  if (own.reason !== null) return own.phase; // The pod's own end takes precedence over the state of its containers.
  const neverRan = (one: ApiContainerStatus): boolean => one.state["waiting"] !== undefined && !one.containerID;
  if (statuses.some(neverRan)) return "Pending";
  return own.phase;
}

interface Statuses {
  statuses: readonly ApiContainerStatus[];
  inits: readonly ApiContainerStatus[];
}

function conditions(input: StatusInput, { statuses, inits }: Statuses, phase: string): Condition[] {
  const { raw, now } = input;
  const uninitialised = inits.filter((one) => !one.ready && !one.started).map((one) => one.name);
  const known = raw.status?.conditions ?? [];
  const unready = statuses.filter((one) => !one.ready).map((one) => one.name);
  const over = phase === "Succeeded" ? "PodCompleted" : phase === "Failed" ? "PodFailed" : undefined;
  const why =
    unready.length === 0
      ? {}
      : { reason: over ?? "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` };
  const gates = (raw.spec?.readinessGates ?? [])
    .map((one) => one.conditionType)
    .filter((type) => !known.some((one) => one.type === type && one.status === "True"));
  const containersReady = unready.length === 0;
  const gated = { reason: "ReadinessGatesNotReady", message: `conditions that are not True: ${gates.join(", ")}` };
  const make = (type: string, good: boolean, rest: object = {}): Condition => {
    const status = good ? "True" : "False";
    const before = known.find((one) => one.type === type);
    const stays = before?.status === status && before.lastTransitionTime !== undefined;
    return { type, status, lastTransitionTime: stays ? (before.lastTransitionTime ?? now) : now, ...rest };
  };
  return [
    make("PodScheduled", true),
    make("Initialized", uninitialised.length === 0 || statuses.some((one) => one.containerID !== undefined), {
      ...(uninitialised.length > 0 && {
        reason: "ContainersNotInitialized",
        message: `containers with incomplete status: [${uninitialised.join(" ")}]`,
      }),
    }),
    make("ContainersReady", containersReady, why),
    make("Ready", containersReady && gates.length === 0, containersReady && gates.length > 0 ? gated : why),
  ];
}

/** ms between SIGTERM and SIGKILL once a pod's deletion is requested; 30 s by default. */
export function graceOf({ metadata }: ApiPod): number {
  return Math.max(0, metadata.deletionGracePeriodSeconds ?? 30) * 1000;
}

/** Reasons why containers could not be started; each becomes an Event. */
export function startProblems(status: Record<string, unknown>): { reason: string; message: string }[] {
  const lists = [status["initContainerStatuses"], status["containerStatuses"]] as (ApiContainerStatus[] | undefined)[];
  const statuses = lists.flatMap((list) => list ?? []);
  return statuses.flatMap(({ state }) => {
    const { reason, message } = (state["waiting"] ?? {}) as { reason?: string; message?: string };
    if (reason === undefined || message === undefined || !Object.values(WAITING).includes(reason)) return [];
    return [{ reason, message }];
  });
}
