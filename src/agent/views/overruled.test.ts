import { describe, expect, test } from "vitest";
import { plannerOf } from "../../authors/testing/plan.ts";
import { NOT_COUNTED, NOTHING_YET } from "../../model/limit-counts.ts";
import type { NodeContext } from "../../model/node-context.ts";
import type { Problem } from "../../model/problem.ts";
import { objectResultsOf } from "../../results/index.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import { impairmentItems } from "./impairments.ts";
import { limitItems } from "./limits.ts";

/** The same case in receipts, problems and the input of conditions. */

const node: NodeContext = {
  ...{ name: "n", overlay: "vxlan", addresses: [], podCIDRs: [], uplink: "eth0", mtu: 1450 },
  vxlan: { port: 4789, vni: 1 },
  fq: true,
};
const device = "weir0123456789a";
const endpoint = { namespace: "shop", name: "web", uid: "u", netns: "/x", ifname: "eth0", device, mac: "", ips: [] };
const NOTHING = {
  ...{ packets: 0, lost: 0, duplicated: 0, corrupted: 0, reordered: 0, delayed: 0, bursts: 0, spared: 0 },
  meanDelay: null,
};

const pod = (annotations: Record<string, string>) => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop", uid: "u", annotations } },
  spec: { nodeName: "n", containers: [{ name: "c" }] },
});
const rule = (kind: "Limit" | "Impairment", name: string, spec: object, labels = {}) => ({
  ...{ apiVersion: "weir.dev/v1alpha1", kind, metadata: { name, namespace: "shop", labels } },
  spec: { pod: "web", ...spec },
});

function story(
  documents: object[],
  change: Partial<NodeContext> = {},
  inForce = true,
  others: readonly Problem[] = [],
) {
  const text = documents.map((one) => JSON.stringify(one)).join("\n---\n");
  const objects = parseManifests(text, "x.yaml").objects.map(({ object }) => object);
  const planner = plannerOf({ node: { ...node, ...change }, objects, endpoints: [endpoint] });
  const told = [...others, ...planner.problems()];
  const problemsOf = (object: string) => told.filter((one) => one.object === object);
  const enforced = (_: unknown, { rate }: { rate: number }) => (inForce ? { rate } : { reason: "no htb" });
  const limits = limitItems(planner, problemsOf, { enforced, measured: () => undefined, counted: () => undefined });
  const readings = { use: () => NOTHING, remaining: () => 60_000, fault: () => undefined };
  const impairments = impairmentItems(planner, problemsOf, readings);
  const problems = told.map(({ object, severity = "error", message }) => `${severity} ${object}: ${message}`);
  const findings = Object.fromEntries(objectResultsOf([...limits, ...impairments], told, []));
  return { limits, impairments, problems, findings };
}

describe("a Limit and the pod's own annotation", () => {
  const own = pod({ "kubernetes.io/egress-bandwidth": "10M" });
  const reason = "overruled: Pod/shop/web comes first (10 Mbit/s egress)";

  test("overruled in one direction, in force in the other", () => {
    const { limits, problems, findings } = story([own, rule("Limit", "slow", { egress: "20M", ingress: "5M" })]);
    expect(limits).toMatchObject([
      { direction: "egress", source: "kubernetes.io/egress-bandwidth", effective: 10e6, reason: null },
      { direction: "ingress", source: "Limit/shop/slow", effective: 5e6, reason: null },
      {
        ...{ direction: "egress", source: "Limit/shop/slow", configured: 20e6, effective: null },
        ...{ reason, overruledBy: "Pod/shop/web" },
      },
    ]);
    expect(problems).toEqual([
      "warning Limit/shop/slow: says 20 Mbit/s egress, but for shop/web Pod/shop/web comes first (10 Mbit/s egress)",
    ]);
    expect(findings["Limit/shop/slow"]).toEqual({ refusals: [], pods: 1, faults: [`web egress: ${reason}`] });
  });

  test("a receipt has the counters of the limit in force, or none", () => {
    const both = [own, rule("Limit", "slow", { egress: "20M" })];
    expect(story(both).limits).toMatchObject([NOTHING_YET, NOT_COUNTED]);
    expect(story(both, {}, false).limits).toMatchObject([NOT_COUNTED, NOT_COUNTED]);
    expect(story([own, rule("Limit", "same", { egress: "10M" })]).limits).toMatchObject([NOTHING_YET, NOTHING_YET]);
  });

  test("with the same rate: it is in force, without a problem", () => {
    const { limits, problems, findings } = story([own, rule("Limit", "same", { egress: "10M" })]);
    expect(limits.map(({ source, effective, reason }) => [source, effective, reason])).toEqual([
      ["Limit/shop/same", 10e6, null],
      ["kubernetes.io/egress-bandwidth", 10e6, null],
    ]);
    expect(problems).toEqual([]);
    expect(findings["Limit/shop/same"]).toEqual({ refusals: [], pods: 1, faults: [] });
  });
});

test.each([
  [{ pod: "none" }, "there is no pod shop/none"],
  [{ pod: undefined, selector: { matchLabels: { app: "none" } } }, "no pod of namespace shop has such labels"],
  [{ pod: undefined, service: "none" }, "there is no Service shop/none"],
])("a Limit that selects no pod, %j, is a problem, and has condition NoPods", (choice, why) => {
  const { limits, problems, findings } = story([pod({}), rule("Limit", "idle", { egress: "1M", ...choice })]);
  expect(limits).toEqual([]);
  expect(problems).toEqual([`warning Limit/shop/idle: chooses no pod: ${why}`]);
  expect(findings["Limit/shop/idle"]).toBeUndefined();
});

describe("Impairments", () => {
  const slow = rule("Impairment", "slow", { direction: "egress", loss: "5%" });
  const until = "2126-01-02T00:00:00Z";

  test("an override replaces another: the loser's receipt names the winner and its end", () => {
    const over = rule("Impairment", "zz", { direction: "egress", loss: "1%", override: true, until });
    const { impairments, problems, findings } = story([pod({}), slow, over]);
    const reason = "overruled: Impairment/shop/zz comes first (loss 1% egress) until 2126-01-02T00:00:00.000Z";
    expect(impairments).toMatchObject([
      { source: "Impairment/shop/zz", state: "active", effective: "loss 1%", reason: null },
      { source: "Impairment/shop/slow", state: "not enforced", reason, overruledBy: "Impairment/shop/zz" },
    ]);
    expect(problems).toEqual([
      "warning Impairment/shop/slow: says loss 5% egress, but for shop/web Impairment/shop/zz comes first (loss 1% egress)",
    ]);
    expect(findings["Impairment/shop/slow"]).toMatchObject({ pods: 1, faults: [`web egress: ${reason}`] });
    expect(findings["Impairment/shop/zz"]).toMatchObject({ pods: 1, faults: [] });
  });

  test("one that keeps some of its effects lists those that it lost", () => {
    const both = rule("Impairment", "both", { direction: "egress", loss: "2%", duplicate: "1%" });
    const { impairments } = story([pod({ loss: "uniform egress 9%" }), both]);
    expect(impairments).toMatchObject([
      { source: "loss", reason: null },
      {
        ...{ source: "Impairment/shop/both", state: "active", effective: "duplicate 1%" },
        reason: "loss 2% egress: overruled: Pod/shop/web comes first (loss 9% egress)",
      },
    ]);
  });

  test("a delay without fq is a problem, and not shown as in force by a condition", () => {
    const far = rule("Impairment", "far", { direction: "egress", loss: "1%", delay: { latency: "50ms" } });
    const { impairments, problems, findings } = story([pod({}), far], { fq: false });
    const why = "delay and pace are not enforced: the kernel has no fq qdisc (load module sch_fq)";
    expect(impairments).toMatchObject([{ state: "active", effective: "loss 1%", reason: why }]);
    expect(problems).toEqual([`error Impairment/shop/far: ${why}`]);
    expect(findings["Impairment/shop/far"]?.faults).toContain(`web egress: ${why}`);
  });
});

describe("a problem at the path of a limit's key", () => {
  const key = "kubernetes.io/egress-bandwidth";
  const other = {
    object: "Pod/shop/web",
    path: `metadata.annotations["${key}"]`,
    message: "is not read by this agent",
  };

  test("marks the limit's receipt as invalid if the value is", () => {
    expect(story([pod({ [key]: "fast" })], {}, true, [other]).limits).toMatchObject([
      {
        direction: "egress",
        source: key,
        written: "fast",
        configured: null,
        reason: expect.stringContaining('"fast"'),
      },
    ]);
  });

  test("of another kind does not", () => {
    const { limits } = story([pod({ [key]: "10M" })], {}, true, [other]);
    expect(limits).toMatchObject([{ source: key, configured: 10e6, effective: 10e6, reason: null }]);
  });
});
