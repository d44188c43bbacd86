import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../../model/objects.ts";
import type { ApiPod, Requirement, Toleration } from "./objects.ts";
import { affine, bindable, chooseNode, labTaint, tolerates } from "./scheduling.ts";

const taint = labTaint("blue");
const key = "weir.dev/lab";

const node = (name: string, labels: Record<string, string> = {}): Node => ({
  kind: "Node",
  metadata: { name, labels, annotations: {} },
  addresses: [],
  podCIDRs: [],
});
const pod = (name: string, nodeName?: string): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "default", labels: {}, annotations: {} },
  nodeName,
  hostNetwork: false,
  containers: [],
  restartPolicy: "Always",
});
const requires = (...terms: object[]): ApiPod => ({
  metadata: { name: "p" },
  spec: {
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
  },
});

describe("tolerates", () => {
  it.each<[string, Toleration[], boolean]>([
    ["nothing", [], false],
    ["this lab", [{ key, value: "blue", effect: "NoSchedule" }], true],
    ["this lab, Equal", [{ key, operator: "Equal", value: "blue" }], true],
    ["another lab", [{ key, operator: "Equal", value: "red" }], false],
    ["any lab", [{ key, operator: "Exists" }], true],
    ["everything", [{ operator: "Exists" }], true],
    ["no key without Exists", [{ value: "blue" }], false],
    ["another key", [{ key: "weir.dev/other", operator: "Exists" }], false],
    ["another effect", [{ key, operator: "Exists", effect: "NoExecute" }], false],
    ["an operator that is none", [{ key, operator: "Like", value: "blue" }], false],
    ["one of several", [{ key: "a" }, { key, value: "blue" }], true],
  ])("%s", (_, tolerations, expected) => expect(tolerates(tolerations, taint)).toBe(expected));
});

describe("bindable", () => {
  const tolerations = [{ key, operator: "Exists" }];
  const metadata = { name: "p" };
  it.each<[string, ApiPod, boolean]>([
    ["a pod that waits for a node", { metadata, spec: { tolerations, schedulerName: "default-scheduler" } }, true],
    ["one of the lab's scheduler", { metadata, spec: { tolerations, schedulerName: "weir-lab" } }, true],
    ["one of another scheduler", { metadata, spec: { tolerations, schedulerName: "volcano" } }, false],
    ["one without a toleration", { metadata, spec: {} }, false],
    ["a bound one", { metadata, spec: { tolerations, nodeName: "n" } }, false],
    ["a gated one", { metadata, spec: { tolerations, schedulingGates: [{ name: "g" }] } }, false],
    [
      "one that ends",
      { metadata: { name: "p", deletionTimestamp: "2026-01-01T00:00:00Z" }, spec: { tolerations } },
      false,
    ],
    ["one that has failed", { metadata, spec: { tolerations }, status: { phase: "Failed" } }, false],
  ])("%s", (_, raw, expected) => expect(bindable(raw, taint)).toBe(expected));
});

describe("affine", () => {
  const one = node("n-1", { zone: "a", size: "10" });
  it.each<[Requirement, boolean]>([
    [{ key: "zone", operator: "In", values: ["a", "b"] }, true],
    [{ key: "zone", operator: "In", values: ["b"] }, false],
    [{ key: "zone", operator: "NotIn", values: ["a"] }, false],
    [{ key: "none", operator: "NotIn", values: ["a"] }, true],
    [{ key: "zone", operator: "Exists" }, true],
    [{ key: "zone", operator: "DoesNotExist" }, false],
    [{ key: "size", operator: "Gt", values: ["9"] }, true],
    [{ key: "size", operator: "Lt", values: ["9"] }, false],
    [{ key: "zone", operator: "Gt", values: ["9"] }, false],
    [{ key: "zone", operator: "constructor" }, false],
    [{ key: "constructor", operator: "Exists" }, false],
  ])("%j: %s", (requirement, expected) =>
    expect(affine(requires({ matchExpressions: [requirement] }), one)).toBe(expected),
  );
  it("matches any of the terms, and never an empty one", () => {
    const field = (name: string) => ({ matchFields: [{ key: "metadata.name", operator: "In", values: [name] }] });
    expect(affine(requires(field("n-2"), field("n-1")), one)).toBe(true);
    expect(affine(requires({}), one)).toBe(false);
    expect(affine({ metadata: { name: "p" } }, one)).toBe(true);
  });
});

describe("chooseNode", () => {
  const nodes = [node("n-1"), node("n-2")];
  const raw: ApiPod = { metadata: { name: "p" } };
  it("spreads", () => {
    expect(chooseNode(raw, pod("p"), [], nodes)).toBe("n-1");
    expect(chooseNode(raw, pod("p"), [pod("a", "n-1")], nodes)).toBe("n-2");
  });
  it("follows affinity regardless of the load", () => {
    const here = requires({ matchFields: [{ key: "metadata.name", operator: "In", values: ["n-1"] }] });
    expect(chooseNode(here, pod("p"), [pod("a", "n-1"), pod("b", "n-1")], nodes)).toBe("n-1");
  });
  it("returns none if no node is suitable", () => {
    expect(chooseNode(raw, { ...pod("p"), nodeSelector: { gpu: "yes" } }, [], nodes)).toBeUndefined();
  });
});
