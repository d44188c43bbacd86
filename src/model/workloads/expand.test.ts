import { describe, expect, it } from "vitest";
import type { CronJob, Job, ManifestObject, Node, Pod, PodTemplate, Workload } from "../objects.ts";
import { type Expanded, type ExpandInput, expandWorkloads } from "./expand.ts";

const template = (command = "sleep", annotations: Record<string, string> = {}): PodTemplate => ({
  labels: { app: "web" },
  annotations,
  spec: {
    hostNetwork: false,
    restartPolicy: "Always",
    containers: [{ name: "c", command: [command], args: [], env: [] }],
  },
});
const meta = (name: string) => ({ name, namespace: "shop", labels: {}, annotations: {} });
const deployment = (replicas: number, of = template(), name = "web"): Workload => ({
  kind: "Deployment",
  metadata: meta(name),
  replicas,
  template: of,
});
const node = (name: string, labels: Record<string, string> = {}): Node => ({
  kind: "Node",
  metadata: { name, labels, annotations: {} },
  addresses: [],
  podCIDRs: [],
});
const nodes = [node("node-1"), node("node-2", { disk: "ssd" })];
const expand = (...objects: ManifestObject[]) => expandWorkloads({ objects, nodes });
const names = (...objects: ManifestObject[]) => expand(...objects).pods.map((pod) => pod.metadata.name);
const ids = (pods: readonly Pod[]) => pods.map((pod) => `${pod.metadata.name} ${pod.metadata.uid}`);

describe("expandWorkloads", () => {
  it("gives a Deployment's pods stable names in Kubernetes' format", () => {
    const [first, second] = names(deployment(2));
    expect(first).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(second).not.toBe(first);
    expect(ids(expand(deployment(2)).pods)).toEqual(ids(expand(deployment(3)).pods).slice(0, 2));
    expect(expand(deployment(1)).pods[0]).toMatchObject({
      owner: "Deployment/web",
      metadata: { namespace: "shop", labels: { app: "web", "pod-template-hash": first?.split("-")[1] } },
    });
  });

  it("changes pods in place when labels or annotations change, and replaces them for other changes", () => {
    const [pod] = expand(deployment(1)).pods;
    const [annotated] = expand(deployment(1, template("sleep", { bandwidth: "1 mbps egress" }))).pods;
    const [other] = expand(deployment(1, template("iperf3"))).pods;
    expect(ids([annotated as Pod])).toEqual(ids([pod as Pod]));
    expect(annotated?.metadata.annotations).toEqual({ bandwidth: "1 mbps egress" });
    expect(annotated?.metadata.resourceVersion).not.toBe(pod?.metadata.resourceVersion);
    expect(other?.metadata.name).not.toBe(pod?.metadata.name);
    expect(other?.metadata.uid).not.toBe(pod?.metadata.uid);
  });

  it("shortens long names and gives each pod a unique one", () => {
    const long = deployment(300, template(), "a".repeat(70));
    const made = names(long);
    expect(new Set(made).size).toBe(300);
    expect(Math.max(...made.map((name) => name.length))).toBe(63);
  });

  it("names pods by kind", () => {
    const set = (start: number): Workload => ({
      kind: "StatefulSet",
      metadata: meta("db"),
      replicas: 2,
      start,
      template: template(),
    });
    expect(names(set(0))).toEqual(["db-0", "db-1"]);
    expect(names(set(5))).toEqual(["db-5", "db-6"]);
    expect(names({ ...deployment(1), kind: "ReplicaSet" } as Workload)[0]).toMatch(/^web-[a-z0-9]{5}$/);
    const daemons = expand({ kind: "DaemonSet", metadata: meta("ds"), template: template() }).pods;
    expect(daemons.map((pod) => pod.nodeName)).toEqual(["node-1", "node-2"]);
    const selective = template();
    const picky = { ...selective, spec: { ...selective.spec, nodeSelector: { disk: "ssd" } } };
    expect(
      expand({ kind: "DaemonSet", metadata: meta("ds"), template: picky }).pods.map((pod) => pod.nodeName),
    ).toEqual(["node-2"]);
  });

  it("replaces a StatefulSet's pod by one of the same name", () => {
    const set = (command: string): Workload => ({
      kind: "StatefulSet",
      metadata: meta("db"),
      replicas: 1,
      start: 0,
      template: template(command),
    });
    const [before] = expand(set("a")).pods;
    const [after] = expand(set("b")).pods;
    expect([before?.metadata.name, before?.metadata.uid === after?.metadata.uid]).toEqual([
      after?.metadata.name,
      false,
    ]);
  });

  it("prefers a Pod of the manifests to a generated one of the same name, and reports it", () => {
    const pod: Pod = { kind: "Pod", metadata: meta("db-0"), ...template("named").spec };
    const set: Workload = { kind: "StatefulSet", metadata: meta("db"), replicas: 2, start: 0, template: template() };
    const { pods, problems } = expand(set, pod);
    expect(pods.map((one) => `${one.metadata.name} ${one.containers[0]?.command}`)).toEqual([
      "db-0 named",
      "db-1 sleep",
    ]);
    expect(problems).toEqual([
      {
        object: "Pod/shop/db-0",
        message: "StatefulSet/db cannot make it: a Pod in the manifests has this name already",
      },
    ]);
  });

  it("keeps a Pod's own uid; a generated uid changes with the spec", () => {
    const pod = (extra: Partial<Pod["metadata"]> = {}, command = "a"): Pod => ({
      kind: "Pod",
      metadata: { ...meta("p"), ...extra },
      ...template(command).spec,
    });
    expect(expand(pod({ uid: "mine" })).pods[0]?.metadata.uid).toBe("mine");
    const uid = (one: Pod) => expand(one).pods[0]?.metadata.uid;
    expect(uid(pod())).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uid(pod({ labels: { a: "b" } }))).toBe(uid(pod()));
    expect(uid(pod({}, "b"))).not.toBe(uid(pod()));
  });
});

const spec = { parallelism: 1, backoffLimit: 1, indexed: false, suspend: false };
const job = (rest: Partial<Job>): Job => ({ kind: "Job", metadata: meta("j"), template: template(), ...spec, ...rest });

/** Runs a job to its end: in each round, every active pod ends as `outcome` returns. */
function play(one: Job, outcome: (n: number) => "Succeeded" | "Failed"): number[] {
  const finished = new Map<string, "Succeeded" | "Failed">();
  const rounds: number[] = [];
  for (let count = 0; rounds.length < 20; ) {
    const { pods } = expandWorkloads({ objects: [one], nodes, finished });
    const active = pods.filter((pod) => !finished.has(pod.metadata.uid ?? ""));
    if (active.length === 0) return rounds;
    rounds.push(active.length);
    for (const pod of active) finished.set(pod.metadata.uid ?? "", outcome(count++));
  }
  return rounds;
}

describe("jobs", () => {
  const ok = () => "Succeeded" as const;
  it.each([
    ["one pod", {}, ok, [1]],
    ["in turn", { completions: 3 }, ok, [1, 1, 1]],
    ["two at a time", { completions: 5, parallelism: 2 }, ok, [2, 2, 1]],
    ["a work queue", { parallelism: 3 }, ok, [3]],
    ["a failure is tried again", { completions: 2 }, (n: number) => (n === 0 ? ("Failed" as const) : ok()), [1, 1, 1]],
    ["until the limit", { completions: 2 }, () => "Failed" as const, [1, 1]],
    ["suspended", { suspend: true }, ok, []],
    ["none", { completions: 0 }, ok, []],
    [
      "by index",
      { completions: 3, parallelism: 2, indexed: true },
      (n: number) => (n === 1 ? ("Failed" as const) : ok()),
      [2, 2],
    ],
  ])("%s", (_, rest, outcome, expected) => expect(play(job(rest), outcome)).toEqual(expected));

  const second = 1000;
  const look = (one: Job, now: number, rest: Partial<ExpandInput> = {}) =>
    expandWorkloads({ objects: [one], nodes, clock: { since: 0, now }, ...rest });
  const uidsOf = ({ pods }: Expanded) => pods.map((pod) => pod.metadata.uid ?? "");

  it("ends at its deadline and stays ended", () => {
    const one = job({ activeDeadlineSeconds: 10, completions: 2, parallelism: 2 });
    const first = look(one, 5 * second);
    expect(first).toMatchObject({ problems: [], wakeAt: 15 * second });
    const finished = new Map([[uidsOf(first)[0] ?? "", "Succeeded" as const]]);
    const before = look(one, 14_999, { jobs: first.jobs, finished });
    expect(before.pods).toHaveLength(2);
    const after = look(one, 15_000, { jobs: before.jobs, finished });
    expect(uidsOf(after)).toEqual([...finished.keys()]);
    expect(after.problems).toEqual([{ object: "Job/shop/j", message: expect.stringContaining("(DeadlineExceeded)") }]);
    expect(after.wakeAt).toBeUndefined();
    const later = look(one, 16 * second, { jobs: after.jobs });
    expect(later).toMatchObject({ pods: [], problems: after.problems });
    // The job is deleted and created anew.
    const gone = expandWorkloads({ objects: [], nodes, jobs: later.jobs });
    expect(look(one, 17 * second, { jobs: gone.jobs })).toMatchObject({ problems: [], wakeAt: 27 * second });
  });

  it("counts its deadline from the end of the suspension, until it is complete", () => {
    const one = job({ activeDeadlineSeconds: 10 });
    const suspended = look({ ...one, suspend: true }, 0);
    const begun = look(one, 60 * second, { jobs: suspended.jobs });
    expect(begun).toMatchObject({ problems: [], wakeAt: 70 * second });
    const finished = new Map(uidsOf(begun).map((uid) => [uid, "Succeeded" as const]));
    const complete = look(one, 65 * second, { jobs: begun.jobs, finished });
    expect(look(one, 90 * second, { jobs: complete.jobs, finished })).toMatchObject({
      problems: [],
      wakeAt: undefined,
    });
  });

  it.each<[Job["template"]["spec"]["restartPolicy"], number, number, boolean]>([
    ["OnFailure", 2, 1, false],
    ["OnFailure", 2, 2, true],
    ["OnFailure", 0, 0, false],
    ["OnFailure", 0, 1, true],
    ["Never", 2, 9, false],
  ])(
    "container restarts with policy %s, limit %i, %i restarts: failed is %s",
    (restartPolicy, backoffLimit, times, failed) => {
      const one = job({ backoffLimit, template: { ...template(), spec: { ...template().spec, restartPolicy } } });
      const first = look(one, 0);
      const restarts = new Map(uidsOf(first).map((uid) => [uid, times]));
      const next = look(one, 1, { jobs: first.jobs, restarts });
      expect([next.pods.length, next.problems.length]).toEqual(failed ? [0, 1] : [1, 0]);
      expect(look(one, 2, { jobs: next.jobs }).pods).toHaveLength(failed ? 0 : 1);
    },
  );

  it("gives an indexed pod its index", () => {
    const [, second] = expand(job({ completions: 2, parallelism: 2, indexed: true })).pods;
    expect(second?.metadata.name).toMatch(/^j-1-[a-z0-9]{5}$/);
    expect(second?.containers[0]?.env).toEqual([{ name: "JOB_COMPLETION_INDEX", value: "1" }]);
  });
});

describe("cron jobs", () => {
  const minute = 60_000;
  const start = Date.UTC(2026, 0, 1, 12, 0, 30);
  const cron = (rest: Partial<CronJob> = {}): CronJob => ({
    kind: "CronJob",
    metadata: meta("c"),
    schedule: "*/5 * * * *",
    concurrencyPolicy: "Allow",
    history: 1,
    suspend: false,
    job: spec,
    template: template(),
    ...rest,
  });
  /** Evaluates every minute for `minutes`; pods run for `lasts` minutes. Returns "active+ended" for each time. */
  const live = (one: CronJob, minutes: number, lasts: number) => {
    const begun = new Map<string, number>();
    const counts: string[] = [];
    for (let now = start; now < start + minutes * minute; now += minute) {
      const ended = [...begun].filter(([, time]) => now - time >= lasts * minute).map(([uid]) => uid);
      const finished = new Map(ended.map((uid) => [uid, "Succeeded" as const]));
      const input = { objects: [one], nodes, finished, known: new Set(begun.keys()), clock: { since: start, now } };
      const uids = expandWorkloads(input).pods.map((pod) => pod.metadata.uid ?? "");
      const replaced = [...begun.keys()].filter((uid) => !uids.includes(uid) && !finished.has(uid));
      for (const uid of replaced) begun.delete(uid);
      for (const uid of uids) begun.set(uid, begun.get(uid) ?? now);
      const active = uids.filter((uid) => !finished.has(uid)).length;
      counts.push(`${active}+${uids.length - active}`);
    }
    return counts.join(" ");
  };
  it.each([
    ["runs by its schedule and keeps the last", cron(), 12, 2, "0+0 0+0 0+0 0+0 0+0 1+0 1+0 0+1 0+1 0+1 1+1 1+1"],
    ["lets runs overlap", cron({ schedule: "* * * * *" }), 6, 3, "0+0 1+0 2+0 3+0 3+1 3+1"],
    ["forbids it", cron({ schedule: "* * * * *", concurrencyPolicy: "Forbid" }), 6, 3, "0+0 1+0 1+0 1+0 1+1 1+1"],
    [
      "replaces the run before",
      cron({ schedule: "* * * * *", concurrencyPolicy: "Replace" }),
      5,
      9,
      "0+0 1+0 1+0 1+0 1+0",
    ],
    ["runs once a minute by a shorter period", cron({ schedule: "@every 20s" }), 3, 9, "0+0 1+0 2+0"],
    ["is suspended", cron({ schedule: "* * * * *", suspend: true }), 3, 9, "0+0 0+0 0+0"],
  ])("%s", (_, one, minutes, lasts, expected) => expect(live(one, minutes, lasts)).toBe(expected));

  it("does not repeat a run that the history no longer has", () => {
    const one = cron({ schedule: "0 * * * *", history: 0 });
    const clock = { since: start, now: start + 60 * minute };
    const first = expandWorkloads({ objects: [one], nodes, clock });
    const finished = new Map(first.pods.map(({ metadata }) => [metadata.uid ?? "", "Succeeded" as const]));
    expect(finished.size).toBe(1);
    const second = expandWorkloads({ objects: [one], nodes, clock, finished, jobs: first.jobs });
    expect(second.pods).toEqual([]);
    expect(expandWorkloads({ objects: [one], nodes, clock, jobs: second.jobs }).pods).toEqual([]);
  });

  it("returns when to evaluate again, and starts only the latest of several missed runs", () => {
    const now = start + 1000 * 24 * 60 * minute;
    const { pods, wakeAt } = expandWorkloads({ objects: [cron()], nodes, clock: { since: start, now } });
    expect(wakeAt).toBe(now - 30_000 + 5 * minute);
    expect(pods.map((pod) => pod.metadata.labels["job-name"])).toEqual([`c-${Math.floor(now / minute)}`]);
  });
});
