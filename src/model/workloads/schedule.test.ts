import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../objects.ts";
import { schedule } from "./schedule.ts";

const node = (name: string, labels: Record<string, string> = {}): Node => ({
  kind: "Node",
  metadata: { name, labels, annotations: {} },
  addresses: [],
  podCIDRs: [],
});
const pod = (name: string, rest: Partial<Pod> = {}): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "n", labels: {}, annotations: {} },
  hostNetwork: false,
  containers: [],
  restartPolicy: "Always",
  ...rest,
});
const nodes = [node("node-1"), node("node-2", { disk: "ssd" })];
const where = (pods: Pod[], previous = new Map<string, string>()) =>
  schedule(pods, nodes, previous).pods.map((one) => `${one.metadata.name}@${one.nodeName}`);

describe("schedule", () => {
  it.each([
    ["spreads", [pod("a"), pod("b"), pod("c")], ["a@node-1", "b@node-2", "c@node-1"]],
    ["honours nodeName, and counts it", [pod("a"), pod("b", { nodeName: "node-1" })], ["a@node-2", "b@node-1"]],
    ["honours a selector", [pod("a", { nodeSelector: { disk: "ssd" } })], ["a@node-2"]],
    ["knows nodes by hostname", [pod("a", { nodeSelector: { "kubernetes.io/hostname": "node-2" } })], ["a@node-2"]],
    [
      "spreads each workload",
      [pod("a", { nodeName: "node-1" }), pod("w1", { owner: "Deployment/w" }), pod("w2", { owner: "Deployment/w" })],
      ["a@node-1", "w1@node-2", "w2@node-1"],
    ],
  ])("%s", (_, pods, expected) => expect(where(pods)).toEqual(expected));

  it("keeps pods on their node, unless the node is gone or no longer fits", () => {
    const previous = new Map([
      ["n/a", "node-2"],
      ["n/b", "node-9"],
      ["n/c", "node-1"],
    ]);
    const pods = [pod("a"), pod("b"), pod("c", { nodeSelector: { disk: "ssd" } })];
    expect(where(pods, previous)).toEqual(["a@node-2", "b@node-1", "c@node-2"]);
  });

  it("reports pods that it cannot bind", () => {
    const { pods, problems } = schedule(
      [pod("a", { nodeName: "x" }), pod("b", { nodeSelector: { gpu: "1" } })],
      nodes,
      new Map(),
    );
    expect(pods).toEqual([]);
    expect(problems).toEqual([
      { object: "Pod/n/a", path: "spec.nodeName", message: "there is no node x" },
      { object: "Pod/n/b", path: "spec.nodeSelector", message: "no node has these labels: the pod is not started" },
    ]);
  });

  it("does not move pods when others are added, and stays balanced", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 30 }),
        (width, steps) => {
          const all = Array.from({ length: width }, (_, i) => node(`node-${i}`));
          let pods: Pod[] = [];
          let bindings: ReadonlyMap<string, string> = new Map();
          for (const [step, many] of steps.entries()) {
            pods = [...Array.from({ length: many }, (_, i) => pod(`p${step}-${i}`)), ...pods];
            const next = schedule(pods, all, bindings);
            for (const [key, before] of bindings) expect(next.bindings.get(key)).toBe(before);
            bindings = next.bindings;
          }
          const counts = all.map((one) => [...bindings.values()].filter((name) => name === one.metadata.name).length);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 50 },
    );
  });
});
