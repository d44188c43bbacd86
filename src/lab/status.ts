import type { Problem } from "../model/problem.ts";

/** Fields of `weir lab status -o json`. Scripts rely on them: add fields, never remove one. */

export type Phase = "Pending" | "Running" | "Succeeded" | "Failed";

export interface ContainerStatus {
  name: string;
  state: "waiting" | "running" | "exited";
  /** PID of the container's first process in the machine's PID namespace. */
  pid: number | null;
  restarts: number;
  exitCode: number | null;
  reason: string | null;
  /** Error code of the last failed start, e.g. `no-command`; null if it started. */
  failure: string | null;
  /** When the last run started and finished, RFC 3339. */
  startedAt: string | null;
  finishedAt: string | null;
  /** True if it will not be restarted. */
  over: boolean;
  /** True if it runs and its startup probe, if any, has succeeded. */
  started: boolean;
  /** True if it has started and its readiness probe, if any, succeeds. */
  ready: boolean;
  log: string;
}

export interface PodStatus {
  namespace: string;
  name: string;
  uid: string;
  node: string;
  phase: Phase;
  ips: readonly string[];
  hostNetwork: boolean;
  resourceVersion: string;
  netns: string;
  cgroup: string;
  /** What the pod waits for, or what failed. */
  message: string | null;
  /** Why the pod ended before its containers did, e.g. `DeadlineExceeded`; null if it did not. */
  reason: string | null;
  /** True if all containers have been started and those that run are ready. */
  ready: boolean;
  /** The init containers started so far. */
  initContainers: readonly ContainerStatus[];
  containers: readonly ContainerStatus[];
}

export interface NodeStatus {
  name: string;
  /** PID of the node's agent; null while none runs. */
  agentPid: number | null;
  agentRestarts: number;
  /** How the previous agent ended. */
  agentLastExit: string | null;
  addresses: readonly string[];
  podCIDRs: readonly string[];
  netns: string;
  socket: string;
  log: string;
}

export interface LabStatus {
  name: string;
  overlay: "vxlan" | "direct";
  /** True if every pod runs or has succeeded, and no manifest has an error. */
  ready: boolean;
  supervisorPid: number;
  nodes: readonly NodeStatus[];
  pods: readonly PodStatus[];
  problems: readonly Problem[];
}
