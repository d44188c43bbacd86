import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { judgeObject } from "./judge.ts";
import { parseManifests } from "./parse.ts";
import { watchManifests } from "./watch.ts";

const GOOD = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "good", annotations: { bandwidth: "10 mbps egress" } },
  spec: { containers: [{ name: "c" }] },
};

type Fields = Record<string, unknown>;
const labels = { app: "a" };
const container = { name: "c", image: "busybox" };
const template = (spec: Fields, policy: string) => ({
  metadata: { labels },
  spec: { restartPolicy: policy, containers: [container], ...spec },
});

/** Wraps a pod spec in each kind of workload. */
const WORKLOADS: Readonly<Record<string, (spec: Fields) => Fields>> = {
  Pod: (spec) => ({ apiVersion: "v1", spec: { containers: [container], ...spec } }),
  ...Object.fromEntries(
    ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"].map((kind) => [
      kind,
      (spec: Fields) => ({
        apiVersion: "apps/v1",
        spec: { selector: { matchLabels: labels }, template: template(spec, "Always") },
      }),
    ]),
  ),
  Job: (spec) => ({ apiVersion: "batch/v1", spec: { template: template(spec, "Never") } }),
  CronJob: (spec) => ({
    apiVersion: "batch/v1",
    spec: { schedule: "* * * * *", jobTemplate: { spec: { template: template(spec, "Never") } } },
  }),
};

const mount = (mountPath: unknown) => ({ containers: [{ ...container, volumeMounts: [{ name: "v", mountPath }] }] });

/** Documents with one invalid field each, and the end of its path. */
const WRONG: readonly (readonly [string, Fields, string])[] = [
  ["a mount of a volume that does not exist", mount("/data"), "spec.containers[0].volumeMounts[0].name"],
  [
    "a relative mountPath",
    { ...mount("data"), volumes: [{ name: "v" }] },
    "spec.containers[0].volumeMounts[0].mountPath",
  ],
  ["a container's name", { containers: [{ name: "C_1" }] }, "spec.containers[0].name"],
  ["no containers", { containers: [] }, "spec.containers"],
  ["containers left out", { containers: undefined }, "spec.containers"],
  ["a restart policy that does not exist", { restartPolicy: "Sometimes" }, "spec.restartPolicy"],
  ["two containers with one name", { containers: [container, container] }, "spec.containers"],
  ["two volumes with one name", { volumes: [{ name: "v" }, { name: "v" }] }, "spec.volumes"],
  ["a null in a list", { containers: [container, null] }, "spec.containers[1]"],
  ["text for a list", { volumes: "none" }, "spec.volumes"],
  ["a node selector of numbers", { nodeSelector: { zone: 1 } }, "spec.nodeSelector.zone"],
];

const CASES = Object.entries(WORKLOADS).flatMap(([kind, of]) =>
  WRONG.map(([what, spec, path]) => ({ kind, what, path, document: { kind, metadata: { name: "bad" }, ...of(spec) } })),
);
const textOf = (...items: unknown[]) => JSON.stringify({ apiVersion: "v1", kind: "List", items });

describe("an invalid object does not affect others", () => {
  it.each(CASES)("$kind with $what", ({ kind, document, path }) => {
    const { objects, refused, problems, complete } = parseManifests(textOf(document, GOOD), "f.json");
    expect(objects.map((one) => one.key)).toEqual(["Pod/default/good"]);
    expect([[...refused], complete]).toEqual([[`${kind}/default/bad`], true]);
    const [problem] = problems;
    expect(problem).toMatchObject({ object: `${kind}/default/bad`, path: expect.stringMatching(/^spec\./) });
    expect(problem?.path?.endsWith(path)).toBe(true);
    expect(problems).toHaveLength(1);
  });

  it.each([
    [
      "restartPolicy Never in a Deployment",
      "Deployment",
      { restartPolicy: "Never" },
      "spec.template.spec.restartPolicy",
    ],
    ["restartPolicy Always in a Job", "Job", { restartPolicy: "Always" }, "spec.template.spec.restartPolicy"],
  ])("%s", (_, kind, spec, path) => {
    const document = { kind, metadata: { name: "bad" }, ...WORKLOADS[kind]?.(spec) };
    const { objects, problems } = parseManifests(textOf(document, GOOD), "f.json");
    expect(objects.map((one) => one.key)).toEqual(["Pod/default/good"]);
    expect(problems.map((one) => one.path)).toEqual([path]);
  });

  it("also if a check of its kind throws", () => {
    const schema = z.unknown().transform((): never => {
      throw new TypeError("Cannot convert undefined or null to object");
    });
    const judged = judgeObject("Pod", { apiVersion: "v1", namespaced: true, schema }, GOOD, "lab");
    expect(judged).toMatchObject({ key: "Pod/default/good", object: undefined });
    expect(judged.findings[0]?.message).toContain("cannot be judged: TypeError: Cannot convert undefined or null");
  });

  const rated = (spec: Fields) => ({
    kind: "Pod",
    apiVersion: "v1",
    metadata: { name: "bad", annotations: { bandwidth: "20 mbps egress" } },
    spec,
  });

  it.each(WRONG)("and does not affect the pod's rules in an agent: %s", (_, spec, path) => {
    const { objects, problems } = parseManifests(
      textOf(rated({ nodeName: "node-1", containers: [container], ...spec })),
      "f.json",
      "agent",
    );
    expect(objects.map((one) => one.object)).toEqual([
      {
        kind: "Pod",
        metadata: {
          ...GOOD.metadata,
          name: "bad",
          namespace: "default",
          labels: {},
          annotations: { bandwidth: "20 mbps egress" },
        },
        nodeName: "node-1",
        hostNetwork: false,
        restartPolicy: "Always",
        containers: [],
      },
    ]);
    expect(problems[0]).toMatchObject({
      severity: "warning",
      path,
      message: expect.stringMatching(/an agent does not act on it$/),
    });
  });

  it.each([
    ["the node", { nodeName: "../x" }],
    ["whose network it uses", { hostNetwork: "yes" }],
  ])("an invalid field that an agent acts on is refused: %s", (_, spec) => {
    const { refused } = parseManifests(textOf(rated({ containers: [container], ...spec })), "f.json", "agent");
    expect([...refused]).toEqual(["Pod/default/bad"]);
  });

  it.each([
    ["nested lists", '{"apiVersion":"v1","kind":"List","items":['.repeat(50_000) + "]}".repeat(50_000)],
    ["nested maps", `{"apiVersion":"v1","kind":"Pod","spec":${'{"a":'.repeat(500_000)}1${"}".repeat(500_001)}`],
  ])("deeply nested %s", (_, text) => {
    const { problems, complete } = parseManifests(text, "f.json");
    expect([problems.map((one) => one.message), complete]).toEqual([["is not read as JSON: nested too deeply"], false]);
  });

  it("brackets in strings do not count as nesting", () => {
    const document = { ...GOOD, metadata: { name: "good", annotations: { note: '\\"['.repeat(1000) } } };
    expect(parseManifests(JSON.stringify(document), "f.json").problems).toEqual([]);
  });

  it("a watched folder stays watched after an invalid object", async () => {
    const folder = mkdtempSync(join(tmpdir(), "weir-isolation-"));
    writeFileSync(join(folder, "good.json"), JSON.stringify(GOOD));
    const { promise: change, resolve: changed } = Promise.withResolvers<void>();
    const watch = watchManifests({ reader: "lab", path: folder, onChange: () => changed() });
    try {
      await watch.synced;
      const wrong = CASES.map(({ document }, index) => ({ ...document, metadata: { name: `bad-${index}` } }));
      writeFileSync(join(folder, "bad.json"), textOf(...wrong));
      await change;
      const { objects, problems } = watch.snapshot();
      expect(objects.map((one) => one.metadata.name)).toEqual(["good"]);
      expect(new Set(problems.map((one) => one.object)).size).toBe(CASES.length);
    } finally {
      await watch.close();
      rmSync(folder, { recursive: true });
    }
  });
});
