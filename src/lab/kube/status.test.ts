import { describe, expect, it } from "vitest";
import type { ContainerStatus, PodStatus } from "../status.ts";
import type { ApiPod } from "./objects.ts";
import { apiStatus, graceOf, type StatusInput, seconds, startProblems } from "./status.ts";

const EARLY = "2026-01-01T00:00:00Z";
const NOW = "2026-01-01T00:01:00Z";

const raw: ApiPod = {
  metadata: { name: "p", namespace: "default", uid: "u" },
  spec: { nodeName: "n", containers: [{ name: "c", image: "busybox" }] },
};
const container = (change: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name: "c",
  state: "running",
  pid: 1,
  restarts: 0,
  exitCode: null,
  reason: null,
  failure: null,
  startedAt: "2026-01-01T00:00:30.123Z",
  finishedAt: null,
  over: false,
  started: true,
  ready: true,
  log: "/log",
  ...change,
});
const exited = (change: Partial<ContainerStatus>) =>
  container({ state: "exited", pid: null, finishedAt: "2026-01-01T00:00:31.5Z", ...change });
const own = (phase: PodStatus["phase"], containers: ContainerStatus[], message: string | null = null): PodStatus => ({
  namespace: "default",
  name: "p",
  uid: "u",
  node: "n",
  phase,
  ips: ["10.244.1.2", "fd00:10:244:1::2"],
  hostNetwork: false,
  resourceVersion: "1",
  netns: "x",
  cgroup: "/x",
  message,
  reason: null,
  ready: true,
  initContainers: [],
  containers,
});
const input = (change: Partial<StatusInput>): StatusInput => ({
  raw,
  own: own("Running", [container()]),
  hostIPs: ["172.30.0.1", "fd00:172:30::1"],
  now: NOW,
  hasImage: () => false,
  ...change,
});
const readiness = (status: Record<string, unknown>) =>
  Object.fromEntries(
    (status["conditions"] as { type: string; status: string }[]).map(({ type, status: value }) => [type, value]),
  );

describe("apiStatus", () => {
  it("takes ready and started from probes", () => {
    const status = apiStatus(input({ own: own("Running", [container({ started: true, ready: false })]) }));
    expect(status).toMatchObject({ phase: "Running", containerStatuses: [{ ready: false, started: true }] });
    expect(readiness(status)).toMatchObject({ Ready: "False", ContainersReady: "False", Initialized: "True" });
  });

  it("reports init containers before and after they have completed", () => {
    const two: ApiPod = { ...raw, spec: { ...raw.spec, initContainers: [{ name: "i" }] } };
    const running = { ...own("Pending", []), initContainers: [container({ name: "i" })] };
    const before = apiStatus(input({ raw: two, own: running }));
    expect(before).toMatchObject({
      phase: "Pending",
      initContainerStatuses: [{ name: "i", state: { running: {} } }],
      containerStatuses: [{ state: { waiting: { reason: "PodInitializing" } } }],
    });
    const kept = exited({ name: "i", exitCode: 128, failure: "no-command", reason: "no image", startedAt: null });
    const stuck = apiStatus(input({ raw: two, own: { ...running, initContainers: [kept] } }));
    expect(startProblems(stuck)).toEqual([{ reason: "ErrImageNeverPull", message: "no image" }]);
    const over = exited({ name: "i", exitCode: 0, over: true, started: false, ready: false });
    const after = apiStatus(input({ raw: two, own: { ...own("Running", [container()]), initContainers: [over] } }));
    expect(after).toMatchObject({ phase: "Running", initContainerStatuses: [{ ready: true }] });
    expect(readiness(after)).toMatchObject({ Initialized: "True", Ready: "True" });
  });

  it("reports why a pod ended before its containers did", () => {
    const failed = { ...own("Failed", [], "was active longer"), reason: "DeadlineExceeded" };
    const expected = { phase: "Failed", reason: "DeadlineExceeded", message: "was active longer" };
    expect(apiStatus(input({ own: failed }))).toMatchObject(expected);
  });

  it("reports a running pod with all addresses", () => {
    const status = apiStatus(input({}));
    expect(status).toMatchObject({
      phase: "Running",
      startTime: NOW,
      hostIP: "172.30.0.1",
      hostIPs: [{ ip: "172.30.0.1" }, { ip: "fd00:172:30::1" }],
      podIP: "10.244.1.2",
      podIPs: [{ ip: "10.244.1.2" }, { ip: "fd00:10:244:1::2" }],
      containerStatuses: [
        {
          name: "c",
          state: { running: { startedAt: "2026-01-01T00:00:30Z" } },
          lastState: {},
          ready: true,
          started: true,
          restartCount: 0,
          image: "busybox",
          imageID: "weir://machine",
          containerID: "weir://u/c/0",
        },
      ],
    });
    expect(readiness(status)).toEqual({
      PodScheduled: "True",
      Initialized: "True",
      ContainersReady: "True",
      Ready: "True",
    });
  });

  const start = { state: "exited", exitCode: 128, startedAt: null, finishedAt: null, reason: "why" } as const;
  it.each<[string, Partial<StatusInput>, string, object]>([
    ["not begun", { own: undefined }, "Pending", { waiting: { reason: "ContainerCreating" } }],
    [
      "without its network yet",
      { own: own("Pending", [], "waiting for its node's agent") },
      "Pending",
      { waiting: { reason: "ContainerCreating", message: "waiting for its node's agent" } },
    ],
    [
      "of an unknown image",
      { own: own("Running", [container({ ...start, failure: "no-command" })]) },
      "Pending",
      { waiting: { reason: "ErrImageNeverPull", message: "why" } },
    ],
    [
      "of an unknown image, never to be restarted",
      { own: own("Failed", [container({ ...start, failure: "no-command", over: true })]) },
      "Pending",
      { waiting: { reason: "ErrImageNeverPull", message: "why" } },
    ],
    [
      "without its ConfigMap",
      { own: own("Running", [container({ ...start, failure: "no-config" })]) },
      "Pending",
      { waiting: { reason: "CreateContainerConfigError", message: "why" } },
    ],
    [
      "whose program is not there",
      { own: own("Running", [container({ ...start, failure: "container" })]) },
      "Pending",
      { waiting: { reason: "RunContainerError", message: "why" } },
    ],
    [
      "that crashes",
      { own: own("Running", [exited({ exitCode: 1, reason: "exit code 1", restarts: 2 })]) },
      "Running",
      { waiting: { reason: "CrashLoopBackOff", message: "waits to be started again after exit code 1" } },
    ],
    [
      "that is done",
      { own: own("Succeeded", [exited({ exitCode: 0, over: true })]) },
      "Succeeded",
      {
        terminated: {
          exitCode: 0,
          reason: "Completed",
          startedAt: "2026-01-01T00:00:30Z",
          finishedAt: "2026-01-01T00:00:31Z",
          containerID: "weir://u/c/0",
        },
      },
    ],
    [
      "that has failed",
      { own: own("Failed", [exited({ exitCode: 3, over: true })]) },
      "Failed",
      { terminated: expect.objectContaining({ exitCode: 3, reason: "Error" }) },
    ],
    [
      "that nobody can run",
      { own: undefined, refused: "bad" },
      "Pending",
      { waiting: { reason: "CreateContainerConfigError", message: "bad" } },
    ],
    [
      "that was deleted",
      { own: own("Running", [exited({ exitCode: 143 })]), ended: true },
      "Failed",
      { terminated: expect.objectContaining({ exitCode: 143, reason: "Error" }) },
    ],
    [
      "that was deleted and ended well",
      { own: own("Running", [exited({ exitCode: 0 })]), ended: true },
      "Succeeded",
      { terminated: expect.objectContaining({ exitCode: 0, reason: "Completed" }) },
    ],
  ])("reports a pod %s", (_, change, phase, state) => {
    const status = apiStatus(input(change));
    expect(status["phase"]).toBe(phase);
    expect(status["containerStatuses"]).toMatchObject([{ state, ready: false, started: false }]);
    expect(readiness(status)).toMatchObject({ ContainersReady: "False", Ready: "False" });
  });

  it("reports the last run of a container that crashes", () => {
    const crashed = own("Running", [exited({ exitCode: 1, reason: "exit code 1", restarts: 2 })]);
    expect(apiStatus(input({ own: crashed }))["containerStatuses"]).toMatchObject([
      { restartCount: 2, lastState: { terminated: { exitCode: 1, reason: "Error" } } },
    ]);
  });

  it("keeps timestamps of unchanged conditions, and waits for readiness gates", () => {
    const gated: ApiPod = {
      ...raw,
      spec: { ...raw.spec, readinessGates: [{ conditionType: "example.com/ok" }] },
      status: {
        startTime: EARLY,
        conditions: [
          { type: "ContainersReady", status: "True", lastTransitionTime: EARLY },
          { type: "Ready", status: "True", lastTransitionTime: EARLY },
        ],
      },
    };
    const status = apiStatus(input({ raw: gated }));
    expect(status["startTime"]).toBe(EARLY);
    expect(status["conditions"]).toMatchObject([
      {},
      {},
      { type: "ContainersReady", status: "True", lastTransitionTime: EARLY },
      { type: "Ready", status: "False", lastTransitionTime: NOW, reason: "ReadinessGatesNotReady" },
    ]);
    const open = { ...gated, status: { conditions: [{ type: "example.com/ok", status: "True" }] } };
    expect(readiness(apiStatus(input({ raw: open })))["Ready"]).toBe("True");
  });
});

describe("startProblems", () => {
  it("reports only problems that the pod's author can fix", () => {
    const failing = own("Running", [
      container({ state: "exited", exitCode: 128, startedAt: null, reason: "why", failure: "no-command" }),
    ]);
    expect(startProblems(apiStatus(input({ own: failing })))).toEqual([
      { reason: "ErrImageNeverPull", message: "why" },
    ]);
    expect(startProblems(apiStatus(input({})))).toEqual([]);
  });
});

it.each([
  [undefined, 30_000],
  [0, 0],
  [5, 5000],
  [-1, 0],
])("grace period %j s: %d ms", (deletionGracePeriodSeconds, expected) =>
  expect(
    graceOf({
      metadata: { name: "p", ...(deletionGracePeriodSeconds !== undefined && { deletionGracePeriodSeconds }) },
    }),
  ).toBe(expected),
);

it.each([
  ["2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00Z"],
  ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"],
  [null, null],
])("time %j becomes %j", (time, expected) => expect(seconds(time)).toBe(expected));
