import { describe, expect, it } from "vitest";
import { manifestOf } from "../model/manifest.ts";
import type { Pod } from "../model/objects.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { bindingsOf, planPods, withoutUids } from "./binding.ts";
import { podManifest } from "./manifest.ts";
import type { BoundPod } from "./pod-host.ts";

const pod = (name: string, uid: string, annotations: Record<string, string> = {}, nodeName = "node-1"): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "default", uid, labels: {}, annotations },
  nodeName,
  hostNetwork: false,
  containers: [{ name: "c", command: ["sleep"], args: [], env: [] }],
  restartPolicy: "Always",
});

function cluster() {
  let bound: ReadonlyMap<string, BoundPod> = new Map();
  let version = 0;
  return (...wanted: Pod[]) => {
    const plan = planPods(bound, wanted, () => String(++version));
    bound = plan.bound;
    const names = (pods: readonly BoundPod[]): string[] => pods.map((one) => `${one.uid}@${one.resourceVersion}`);
    return { plan, created: names(plan.created), updated: names(plan.updated), removed: names(plan.removed) };
  };
}

describe("planPods", () => {
  it("creates and removes", () => {
    const apply = cluster();
    expect(apply(pod("a", "1"), pod("b", "2"))).toMatchObject({ created: ["1@1", "2@2"], removed: [] });
    expect(apply(pod("b", "2"))).toMatchObject({ created: [], updated: [], removed: ["1@1"] });
  });
  it("changes annotations in place, with a higher version", () => {
    const apply = cluster();
    apply(pod("a", "1"), pod("b", "2"));
    const { created, updated, removed } = apply(pod("a", "1", { x: "y" }), pod("b", "2"));
    expect([created, updated, removed]).toEqual([[], ["1@3"], []]);
  });
  it("recreates a pod with another uid or on another node", () => {
    const apply = cluster();
    apply(pod("a", "1"), pod("b", "2"));
    const { created, removed } = apply(pod("a", "3"), pod("b", "2", {}, "node-2"));
    expect(created).toEqual(["3@3", "2@4"]);
    expect(removed).toEqual(["1@1", "2@2"]);
  });
  it("plans nothing when nothing changed, and keeps the pods' nodes", () => {
    const apply = cluster();
    apply(pod("a", "1"));
    const { plan, created, updated, removed } = apply(pod("a", "1"));
    expect([created, updated, removed]).toEqual([[], [], []]);
    expect([...bindingsOf(plan.bound)]).toEqual([["default/a", "node-1"]]);
  });
});

describe("withoutUids", () => {
  it("drops a uid of the manifest: uids become parts of paths", () => {
    expect(withoutUids([pod("a", "../../etc")])[0]?.metadata.uid).toBeUndefined();
  });
});

describe("podManifest", () => {
  it("is read again as the bound pod", () => {
    const bound = {
      pod: pod("a", "u-1", { bandwidth: "1 mbps egress" }),
      uid: "u-1",
      node: "node-2",
      resourceVersion: "17",
    };
    const { objects, problems } = parseManifests(podManifest(bound), "pod.yaml");
    expect(problems).toEqual([]);
    const metadata = { ...bound.pod.metadata, resourceVersion: "17" };
    expect(objects[0]?.object).toEqual({ ...bound.pod, nodeName: "node-2", metadata });
    expect(manifestOf(objects[0]?.object as Pod)).toEqual(JSON.parse(podManifest(bound)));
    const [ended] = parseManifests(podManifest(bound, [], "Failed"), "pod.yaml").objects;
    expect(ended?.object).toMatchObject({ ended: "Failed" });
  });
});
