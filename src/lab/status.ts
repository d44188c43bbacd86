import type { Problem } from "../model/problem.ts";

/** Shapes of `weir lab status -o json`. Scripts rely on them: add fields, never take one away. */

export type Phase = "Pending" | "Running" | "Succeeded" | "Failed";

export interface ContainerStatus {
  name: string;
  state: "waiting" | "running" | "exited";
  /** First process, as the machine numbers it. */
  pid: number | null;
  restarts: number;
  exitCode: number | null;
  reason: string | null;
  /** Code of what kept the last start from happening, e.g. `no-command`; null if it happened. */
  failure: string | null;
  /** When the last run began and ended, RFC 3339. */
  startedAt: string | null;
  finishedAt: string | null;
  /** Will it not be started again? */
  over: boolean;
  /** It runs, and its startup probe, if it has one, has passed. */
  started: boolean;
  /** It has started, and its readiness probe, if it has one, passes. */
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
  /** What it waits for, or what is wrong. */
  message: string | null;
  /** Why it ended before its containers did, e.g. `DeadlineExceeded`; null if it did not. */
  reason: string | null;
  /** All containers have been started, and those that run are ready. */
  ready: boolean;
  /** Those that have been started so far. */
  initContainers: readonly ContainerStatus[];
  containers: readonly ContainerStatus[];
}

export interface NodeStatus {
  name: string;
  /** Process of the node's agent; null between two. */
  agentPid: number | null;
  agentRestarts: number;
  /** How the agent before this one ended. */
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
  /** Every pod runs or has ended well, and no manifest is in error. */
  ready: boolean;
  supervisorPid: number;
  nodes: readonly NodeStatus[];
  pods: readonly PodStatus[];
  problems: readonly Problem[];
}
