import { describe, expect, it } from "vitest";
import type { Pod } from "../model/objects.ts";
import { bindPods } from "./binding.ts";
import { nodeObject } from "./cluster.ts";
import { labNames, nodeNames } from "./names.ts";
import type { BoundPod } from "./pod.ts";

const nodes = [1, 2, 3].map((index) => nodeObject(nodeNames(labNames("x"), index)));
const pod = (name: string, more: Partial<Pod> = {}, annotations: Record<string, string> = {}): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "default", labels: {}, annotations },
  hostNetwork: false,
  containers: [{ name: "c", command: ["sleep"], args: [], env: [] }],
  restartPolicy: "Always",
  ...more,
});

function cluster() {
  let bound: ReadonlyMap<string, BoundPod> = new Map();
  let [uid, version] = [0, 0];
  return (wanted: Pod[]) => {
    const input = { bound, wanted, nodes, newUid: () => `u${++uid}`, newVersion: () => String(++version) };
    const plan = bindPods(input);
    bound = plan.bound;
    return plan;
  };
}
const where = (plan: ReturnType<typeof bindPods>): Record<string, string> =>
  Object.fromEntries([...plan.bound.values()].map((one) => [one.pod.metadata.name, one.node]));

describe("bindPods", () => {
  it("spreads pods, and counts those that name their node", () => {
    const plan = cluster()([pod("a"), pod("b"), pod("c", { nodeName: "node-1" }), pod("d")]);
    expect(where(plan)).toEqual({ c: "node-1", a: "node-2", b: "node-3", d: "node-1" });
  });

  it("leaves pods where they are when others come and go", () => {
    const apply = cluster();
    apply([pod("a"), pod("b"), pod("c")]);
    const plan = apply([pod("c"), pod("z")]);
    expect(where(plan)).toEqual({ c: "node-3", z: "node-1" });
    expect(plan.removed.map((one) => one.pod.metadata.name)).toEqual(["a", "b"]);
  });

  it("changes annotations in place with a higher version, and nothing else", () => {
    const apply = cluster();
    const before = apply([pod("a"), pod("b")]).bound;
    const plan = apply([pod("a", {}, { bandwidth: "1 mbps egress" }), pod("b")]);
    expect(plan.created).toEqual([]);
    expect(plan.removed).toEqual([]);
    expect(plan.updated.map((one) => [one.uid, one.resourceVersion])).toEqual([["u1", "3"]]);
    expect(plan.bound.get("default/b")).toBe(before.get("default/b"));
  });

  it("replaces a pod whose containers or node changed", () => {
    const apply = cluster();
    apply([pod("a"), pod("b", { nodeName: "node-2" })]);
    const plan = apply([pod("a", { containers: [] }), pod("b", { nodeName: "node-3" })]);
    expect(plan.removed.map((one) => one.uid).sort()).toEqual(["u1", "u2"]);
    expect(plan.created.map((one) => [one.pod.metadata.name, one.node]).sort()).toEqual([
      ["a", "node-1"],
      ["b", "node-3"],
    ]);
  });

  it("is idle when nothing changed", () => {
    const apply = cluster();
    apply([pod("a")]);
    const plan = apply([pod("a")]);
    expect([plan.created, plan.updated, plan.removed]).toEqual([[], [], []]);
  });

  it.each([
    [{ nodeName: "node-9" }, /node-9.*node-1, node-2, node-3/],
    [{ nodeSelector: { disk: "fast" } }, /nodeSelector/],
  ])("says why no node takes %j", (more, reason) => {
    const plan = cluster()([pod("a", more)]);
    expect(plan.unbound[0]?.reason).toMatch(reason);
    expect(plan.bound.size).toBe(0);
  });

  it("honours node labels", () => {
    const plan = cluster()([pod("a", { nodeSelector: { "kubernetes.io/hostname": "node-3" } })]);
    expect(where(plan)).toEqual({ a: "node-3" });
  });
});
