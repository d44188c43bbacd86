import { describe, expect, it, onTestFinished, test, vi } from "vitest";
import { ApiStatusError, type ObjectStatus } from "../sources/kubernetes/index.ts";
import { conditionsOf, type NodeEntry, nodeEntry } from "./conditions.ts";
import { EventQuota, eventOf } from "./events.ts";
import { forgetNodes } from "./forget.ts";
import { objectResultsOf } from "./object-results.ts";
import { type Results, type ResultTimes, ResultWriter } from "./writer.ts";

const T1 = "2026-01-01T00:00:00Z";
const T2 = "2026-01-02T00:00:00Z";
const standing = (status: object = {}, generation = 2): ObjectStatus => ({
  ...{ kind: "Limit", namespace: "ns", name: "slow", uid: "u", resourceVersion: "7", generation },
  status: status as ObjectStatus["status"],
});
const entry = (name: string, change: Partial<NodeEntry> = {}): NodeEntry => ({
  ...{ name, observedGeneration: 2, pods: 1, enforced: true, lastTransitionTime: T1 },
  ...change,
});
const NODES = new Set(["n1", "n2"]);

describe("a node's entry", () => {
  const good = { refusals: [], pods: 2, faults: [] };
  test.each([
    ["nothing to say", {}, { ...good, pods: 0 }, undefined],
    ["in force", {}, good, entry("n1", { pods: 2, lastTransitionTime: T2 })],
    ["still in force since then", { nodes: [entry("n1")] }, good, entry("n1", { pods: 2 })],
    [
      "no longer",
      { nodes: [entry("n1")] },
      { ...good, faults: ["b", "c"] },
      entry("n1", { pods: 2, enforced: false, message: "b; c", lastTransitionTime: T2 }),
    ],
    [
      "a status that is nonsense",
      { nodes: ["x", null, { name: 5 }] },
      good,
      entry("n1", { pods: 2, lastTransitionTime: T2 }),
    ],
  ])("%s", (_, status, finding, expected) => {
    expect(nodeEntry("n1", standing(status), finding, T2)).toEqual(expected);
  });
});

describe("conditions", () => {
  const of = (status: object, refusals: string[] = []) =>
    conditionsOf(standing(status), refusals, NODES, T2).map(
      ({ type, status: value, reason, message, lastTransitionTime }) =>
        [type, value, reason, message, lastTransitionTime].join(" | "),
    );
  const VALID = `Accepted | True | Valid | its values are in order | ${T2}`;
  const bad = entry("n2", { enforced: false, message: "full" });
  test.each([
    ["no node", {}, [VALID, `Enforced | False | NoPods | it chooses no pod that has a network on a node | ${T2}`]],
    [
      "all nodes",
      { nodes: [entry("n1"), entry("n2", { pods: 3 })] },
      [VALID, `Enforced | True | InForce | in force for 4 pods on 2 nodes | ${T2}`],
    ],
    ["one does not", { nodes: [entry("n1"), bad] }, [VALID, `Enforced | False | NotEnforced | n2: full | ${T2}`]],
    [
      "one is late",
      { nodes: [entry("n1", { observedGeneration: 1 }), bad] },
      [VALID, `Enforced | Unknown | Pending | not yet seen by n1 | ${T2}`],
    ],
    [
      "a node that is gone",
      { nodes: [entry("n1"), { ...bad, name: "n9" }] },
      [VALID, `Enforced | True | InForce | in force for 1 pod on 1 node | ${T2}`],
    ],
    [
      "since when",
      { nodes: [entry("n1")], conditions: [{ type: "Enforced", status: "True", lastTransitionTime: T1 }] },
      [VALID, `Enforced | True | InForce | in force for 1 pod on 1 node | ${T1}`],
    ],
  ])("%s", (_, status, expected) => {
    expect(of(status)).toEqual(expected);
  });
  it("refuses", () => {
    expect(of({}, ["spec.egress: no"])[0]).toBe(`Accepted | False | Invalid | spec.egress: no | ${T2}`);
  });
});

test("findings: of receipts, of what was refused, and of what lost against another", () => {
  const receipt = { namespace: "ns", direction: "egress", source: "Limit/ns/slow", effective: 5, reason: null };
  const refused = { object: "Limit/ns/bad", path: "spec.egress", message: "no" };
  const found = objectResultsOf(
    [
      { ...receipt, pod: "a" },
      { ...receipt, pod: "b", effective: null, reason: "no room" },
    ],
    [
      refused,
      { object: "Limit/ns/lost", message: "another counts" },
      { object: "Limit/ns/x", message: "-", severity: "skipped" },
    ],
    [refused],
  );
  expect(Object.fromEntries(found)).toEqual({
    "Limit/ns/slow": { refusals: [], pods: 2, faults: ["b egress: no room"] },
    "Limit/ns/bad": { refusals: ["spec.egress: no"], pods: 0, faults: [] },
    "Limit/ns/lost": { refusals: [], pods: 0, faults: ["another counts"] },
  });
});

describe("events", () => {
  const problem = { object: "Pod/ns/web", path: 'metadata.annotations["loss"]', message: "no" };
  it("have one name for the same words on every node", () => {
    const [one, two] = ["n1", "n2"].map((node) => eventOf(problem, "u", node, T1));
    expect(one?.name).toBe(two?.name);
    expect(one?.body).toMatchObject({
      type: "Warning",
      involvedObject: { kind: "Pod", uid: "u", fieldPath: problem.path },
    });
    expect(eventOf({ ...problem, message: "other" }, "u", "n1", T1)?.name).not.toBe(one?.name);
    expect(eventOf({ ...problem, object: "Node/n1" }, "u", "n1", T1)).toBeUndefined();
  });
  it("are told once, and not without end", () => {
    const quota = new EventQuota(0);
    expect([quota.take("a", "Pod/x", 0), quota.take("a", "Pod/x", 1)]).toEqual([true, false]);
    const many = (object: (index: number) => string) =>
      Array.from({ length: 200 }, (_, index) => quota.take(`${object(index)}${index}`, object(index), 10)).filter(
        Boolean,
      ).length;
    expect(many(() => "Pod/y")).toBe(10);
    expect(many((index) => `Pod/z${index}`)).toBe(14);
    expect(quota.take("late", "Pod/late", 60_000)).toBe(true);
  });
  it("do not depend on the time of day", async () => {
    const told: string[] = [];
    const client = { create: async (_: object, __: object, body: { message: string }) => void told.push(body.message) };
    const clock = vi.spyOn(Date, "now");
    const abort = new AbortController();
    onTestFinished(() => {
      abort.abort();
      clock.mockRestore();
    });
    const quota = new EventQuota(performance.now());
    for (const [day, message] of ["first", "second"].entries()) {
      clock.mockReturnValue(1e12 - day * 86_400_000); // set back by a day
      const results = { statuses: [], findings: new Map(), problems: [{ ...problem, message }], nodes: NODES };
      const one = new ResultWriter({
        ...{ client: client as never, node: "n1", quota, signal: abort.signal, times: { settle: 1 } },
        collect: async () => ({ ...results, uid: () => undefined }),
        log: { warn: () => {}, info: () => {} },
      });
      one.mark();
      await expect.poll(() => told.length).toBe(day + 1);
    }
    expect(told).toEqual(["first", "second"].map((message) => `${problem.path}: ${message}`));
  });
});

describe("the writer", () => {
  const refusal = (code: number) => new ApiStatusError("PATCH", code, { kind: "Status", reason: "x" });
  function writer(
    results: Partial<Results>,
    fail: (call: number, name: string) => Error | undefined = () => undefined,
    change: Partial<ResultTimes> = {},
  ) {
    const calls: { name: string; manager: string; body: Record<string, unknown> }[] = [];
    const abort = new AbortController();
    const client = {
      apply: async (_: object, { name }: { name: string }, body: object, options: { fieldManager: string }) => {
        calls.push({ name, manager: options.fieldManager, body: body as Record<string, unknown> });
        const error = fail(calls.length, name);
        if (error) throw error;
        return { metadata: { name: "slow" } };
      },
      create: async () => ({ metadata: { name: "event" } }),
    };
    const empty: Results = { statuses: [], findings: new Map(), problems: [], uid: () => undefined, nodes: NODES };
    const told: unknown[] = [];
    const log = { warn: (...one: unknown[]) => void told.push(one), info: (...one: unknown[]) => void told.push(one) };
    const times = { settle: 1, shortest: 5, longest: 20, leave: 40, ...change };
    const collect = async () => ({ ...empty, ...results });
    const one = new ResultWriter({
      client: client as never,
      node: "n1",
      collect,
      log: log as never,
      signal: abort.signal,
      times,
    });
    one.mark();
    return { calls, told, abort, one };
  }
  const findings = new Map([["Limit/ns/slow", { refusals: [], pods: 1, faults: [] }]]);

  it("says its own first, as its own author", async () => {
    const { calls } = writer({ statuses: [standing()], findings });
    await expect.poll(() => calls.length).toBe(1);
    expect(calls[0]).toMatchObject({
      manager: "weir-agent-n1",
      body: { status: { nodes: [{ name: "n1", enforced: true }] } },
    });
  });
  it("then the conditions, as the one author of all, and only of this version", async () => {
    const { calls } = writer({ statuses: [standing({ nodes: [entry("n1")] })], findings });
    await expect.poll(() => calls.length).toBe(1);
    expect(calls[0]).toMatchObject({
      manager: "weir",
      body: { metadata: { resourceVersion: "7" }, status: { observedGeneration: 2 } },
    });
  });
  it("takes its entry away when it has nothing to say", async () => {
    const { calls } = writer({ statuses: [standing({ nodes: [entry("n1")] })] });
    await expect.poll(() => calls[0]?.body["status"]).toEqual({ nodes: [] });
  });
  it("leaves an object without a pod of its own to others for a while, then reports it", async () => {
    const begin = performance.now();
    const { calls } = writer({ statuses: [standing()] });
    await expect.poll(() => calls.length, { interval: 5 }).toBe(1);
    expect(performance.now() - begin).toBeGreaterThan(35);
  });
  it("says nothing that is said", async () => {
    const status = { nodes: [entry("n1")] };
    const conditions = conditionsOf(standing(status), [], NODES, T1);
    const { calls } = writer({ statuses: [standing({ ...status, conditions })], findings });
    await new Promise((done) => setTimeout(done, 60));
    expect(calls).toEqual([]);
  });
  it("tries again after a failure, and tells of it once", async () => {
    const { calls, told } = writer({ statuses: [standing()], findings }, (call) =>
      call < 3 ? refusal(500) : undefined,
    );
    await expect.poll(() => calls.length).toBe(3);
    await expect.poll(() => told.length).toBe(2);
  });
  it("is not held up by an object that the server does not take", async () => {
    const bad = { ...standing(), name: "bad" };
    const refuse = (_: number, name: string) => (name === "bad" ? refusal(500) : undefined);
    const both = { statuses: [bad, standing()], findings };
    const { calls, told, one } = writer(both, refuse, { shortest: 60_000, longest: 60_000, leave: 0 });
    const of = (wanted: string) => calls.filter(({ name }) => name === wanted).length;
    for (let round = 1; round <= 3; round++) {
      await expect.poll(() => of("slow")).toBeGreaterThanOrEqual(round);
      one.mark();
    }
    await expect.poll(() => [of("bad"), told.length]).toEqual([1, 1]);
  });
  it("is not put off by marks without end", async () => {
    const { calls, one } = writer({ statuses: [standing()], findings }, () => undefined, { settle: 50 });
    const marks = setInterval(() => one.mark(), 5);
    await expect.poll(() => calls.length).toBeGreaterThan(0);
    clearInterval(marks);
  });
  it("takes a conflict for what it is", async () => {
    const { calls, told } = writer({ statuses: [standing()], findings }, () => refusal(409));
    await expect.poll(() => calls.length).toBe(1);
    await new Promise((done) => setTimeout(done, 60));
    expect([calls.length, told.length]).toEqual([1, 0]);
  });
});

describe("nodes that are gone", () => {
  const gone = new Set(["n2", "n3"]);
  const left = new Set(["n1"]);
  const accepted = { type: "Accepted", status: "True", reason: "Valid", lastTransitionTime: T1 };
  function api(fail?: Error) {
    const calls: { manager: string; body: Record<string, unknown> }[] = [];
    const apply = async (_: object, __: object, body: object, { fieldManager }: { fieldManager: string }) => {
      calls.push({ manager: fieldManager, body: body as Record<string, unknown> });
      if (fail) throw fail;
      const status = { nodes: [entry("n1", { pods: 4 })], conditions: [accepted] };
      return { metadata: { name: "slow", namespace: "ns", uid: "u", resourceVersion: "9", generation: 2 }, status };
    };
    return { calls, client: { apply } };
  }
  it("take their entries along, and the others' are what counts", async () => {
    const { calls, client } = api();
    await forgetNodes(client, standing({ nodes: [entry("n1"), entry("n2"), entry("n3")] }), { gone, left });
    expect(calls.map(({ manager }) => manager)).toEqual(["weir-agent-n2", "weir-agent-n3", "weir"]);
    expect(calls[0]?.body).toMatchObject({ metadata: { uid: "u" }, status: { nodes: [] } });
    expect(calls[2]?.body).toMatchObject({
      metadata: { resourceVersion: "9" },
      status: { conditions: [accepted, { type: "Enforced", message: "in force for 4 pods on 1 node" }] },
    });
  });
  it("said nothing: nothing is written", async () => {
    const { calls, client } = api();
    await forgetNodes(client, standing({ nodes: [entry("n1")] }), { gone, left });
    expect(calls).toEqual([]);
  });
  test.each([
    ["another writes", 409, true],
    ["it is gone", 404, true],
    ["the API is ill", 500, false],
  ])("%s", async (_, code, good) => {
    const { client } = api(new ApiStatusError("PATCH", code, { kind: "Status", reason: "x" }));
    const done = forgetNodes(client, standing({ nodes: [entry("n2")] }), { gone, left });
    await (good ? done : expect(done).rejects.toMatchObject({ status: code }));
  });
});
