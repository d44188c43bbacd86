import { describe, expect, it } from "vitest";
import type { ManifestObject } from "../model/objects.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { nodeObject } from "./cluster.ts";
import { environmentOf, expandObjects } from "./controllers.ts";
import { podManifest } from "./manifest.ts";
import { labNames, nodeNames } from "./names.ts";
import type { BoundPod } from "./pod.ts";

const nodes = [1, 2].map((index) => nodeObject(nodeNames(labNames("x"), index)));

function objects(text: string): ManifestObject[] {
  const parsed = parseManifests(text, "f.yaml");
  expect(parsed.problems).toEqual([]);
  return parsed.objects.map((one) => one.object);
}
const workload = (kind: string, spec: string, annotations = "{}", version = "apps/v1"): string => `
apiVersion: ${version}
kind: ${kind}
metadata: { name: w, namespace: shop }
spec:
  ${spec}
  template:
    metadata: { labels: { app: w }, annotations: ${annotations} }
    spec: { ${version === "batch/v1" ? "restartPolicy: Never, " : ""}containers: [{ name: c, command: [sleep, "1"] }] }
`;
const selector = "selector: { matchLabels: { app: w } }";
const names = (text: string): string[] => expandObjects(objects(text), nodes).pods.map((pod) => pod.metadata.name);

describe("expandObjects", () => {
  it.each([
    ["Deployment", `{ replicas: 2, ${selector} }`, [/^w-[b-z2-9]{9}-[b-z2-9]{5}$/, /^w-[b-z2-9]{9}-[b-z2-9]{5}$/]],
    ["ReplicaSet", `{ replicas: 1, ${selector} }`, [/^w-[b-z2-9]{5}$/]],
    ["StatefulSet", `{ replicas: 2, serviceName: w, ${selector} }`, [/^w-0$/, /^w-1$/]],
    ["DaemonSet", `{ ${selector} }`, [/^w-[b-z2-9]{5}$/, /^w-[b-z2-9]{5}$/]],
  ])("makes a %s's pods", (kind, spec, wanted) => {
    const found = names(workload(kind, spec.slice(1, -1).replaceAll(", s", "\n  s").trim()));
    expect(found).toHaveLength(wanted.length);
    for (const [index, pattern] of wanted.entries()) expect(found[index]).toMatch(pattern);
    expect(new Set(found).size).toBe(found.length);
  });

  it("runs a job's completions", () => {
    expect(names(workload("Job", "completions: 3", "{}", "batch/v1"))).toHaveLength(3);
  });

  it("keeps names when the template's annotations change", () => {
    const spec = `replicas: 2\n  ${selector}`;
    expect(names(workload("Deployment", spec, "{ x: y }"))).toEqual(names(workload("Deployment", spec)));
  });

  it("puts a daemon's pods on their nodes", () => {
    const { pods } = expandObjects(objects(workload("DaemonSet", selector)), nodes);
    expect(pods.map((pod) => pod.nodeName)).toEqual(["node-1", "node-2"]);
    expect(pods[0]?.owner).toBe("DaemonSet/w");
  });
});

describe("environmentOf", () => {
  const text = `
apiVersion: v1
kind: ConfigMap
metadata: { name: conf, namespace: shop }
data: { A: one, B-C: two }
---
apiVersion: v1
kind: Pod
metadata: { name: p, namespace: shop, labels: { app: x } }
spec:
  containers:
    - name: c
      command: [env]
      envFrom: [{ prefix: P_, configMapRef: { name: conf } }]
      env:
        - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
        - { name: IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: KEY, valueFrom: { configMapKeyRef: { name: conf, key: A } } }
        - { name: GONE, valueFrom: { configMapKeyRef: { name: conf, key: Z, optional: true } } }
        - { name: SUM, value: "$(NODE)-$(KEY)-$(NOPE)-$$(KEY)" }
`;
  const given = (all: ManifestObject[]): Record<string, string> => {
    const pod = expandObjects(all, nodes).pods[0] as BoundPod["pod"];
    const bound = { pod, uid: "u", node: "node-1", resourceVersion: "1" };
    return environmentOf(all, bound, pod.containers[0] as never, ["10.0.0.1"], ["172.30.0.1"]);
  };

  it("fills in ConfigMaps, fields and references", () => {
    expect(given(objects(text))).toEqual({
      P_A: "one",
      "P_B-C": "two",
      NODE: "node-1",
      IP: "10.0.0.1",
      KEY: "one",
      SUM: "node-1-one-$(NOPE)-$(KEY)",
    });
  });

  it("names a missing ConfigMap", () => {
    const all = objects(text).filter((object) => object.kind === "Pod");
    expect(() => given(all)).toThrow("ConfigMap conf is missing in namespace shop");
  });
});

describe("podManifest", () => {
  it("reads back as the pod that was bound", () => {
    const [pod] = expandObjects(objects(workload("StatefulSet", `${selector}\n  serviceName: w`)), nodes).pods;
    if (pod === undefined) throw new Error("no pod");
    const manifest = podManifest({ pod, uid: "u-1", node: "node-2", resourceVersion: "17" });
    const [back] = objects(manifest);
    expect(back).toMatchObject({
      kind: "Pod",
      nodeName: "node-2",
      metadata: { name: "w-0", namespace: "shop", uid: "u-1", resourceVersion: "17", labels: { app: "w" } },
    });
  });
});
