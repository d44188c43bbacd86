import { afterEach, expect, it, vi } from "vitest";
import type { Problem } from "../../model/problem.ts";
import { type AgentReader, LabResults, type ResultsView } from "./results.ts";

const eventually = <T>(check: () => T): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

const receipt = { namespace: "ns", pod: "a", direction: "egress", source: "Limit/ns/slow", effective: 5, reason: null };
const standing = {
  ...{ kind: "Limit" as const, namespace: "ns", name: "slow", uid: "u", resourceVersion: "7", generation: 3 },
  status: {},
};

/** An agent whose answers a test sets. */
class FakeAgent {
  version: string | null = "1";
  generation = 1;
  problems: Problem[] = [];
  receipts: object[] = [];
  asked = 0;
  dead = false;

  get reader(): AgentReader {
    const status = async () => {
      this.asked++;
      if (this.dead) throw new Error("connect: ENOENT");
      const { generation, version: resourceVersion } = this;
      return { startedAt: "2026", observed: { generation, reconciledAt: "2026", resourceVersion } };
    };
    const list = async (kind: string) => (kind === "limits" ? this.receipts : kind === "problems" ? this.problems : []);
    return { status, list } as unknown as AgentReader;
  }
}

let results: LabResults | undefined;
afterEach(() => results?.close());

function start(change: Partial<ResultsView> = {}, fail?: Error) {
  const agents = [new FakeAgent(), new FakeAgent()] as const;
  const writes: { manager?: string | undefined; body: object }[] = [];
  const view = {
    ...{ version: "1", statuses: [standing], problems: [] as Problem[], nodes: new Set(["n1", "n2"]) },
    ...{ nodeOf: (pod: string) => (pod === "ns/a" ? "n1" : undefined), uid: (): string => "pod-uid" },
    ...change,
  };
  const write = async (_: object, __: object, body: object, options: { fieldManager?: string }) => {
    writes.push({ manager: options.fieldManager, body });
    if (fail) throw fail;
    return { metadata: { name: "x" } };
  };
  results = new LabResults({
    client: { apply: write, create: write } as never,
    agents: new Map(agents.map((agent, index) => [`n${index + 1}`, agent.reader])),
    look: () => view,
    pauses: { shortest: 5, longest: 20 },
  });
  return { agents, view, writes };
}

it("writes an agent's results under its node's name, once the agent has handled the rules", async () => {
  const { agents, writes } = start({ version: "2" });
  agents[0].receipts = [receipt];
  await eventually(() => expect(agents[0].asked).toBeGreaterThan(20));
  expect(writes).toEqual([]);
  Object.assign(agents[0], { version: "2", generation: 2 });
  await eventually(() => expect(writes).toHaveLength(1));
  expect(writes).toMatchObject([
    { manager: "weir-agent-n1", body: { status: { nodes: [{ name: "n1", observedGeneration: 3, enforced: true }] } } },
  ]);
});

it("reports a pod's problem by its own node only, and a Service's once", async () => {
  const { agents, writes } = start({ statuses: [] });
  for (const agent of agents)
    agent.problems = [
      { object: "Pod/ns/a", path: "metadata", message: "no" },
      { object: "Service/ns/s", message: "no" },
    ];
  results?.changed();
  await eventually(() => expect(writes).toHaveLength(2));
  await new Promise((done) => setTimeout(done, 500));
  expect(writes.map(({ body }) => body).sort(byKind)).toMatchObject([
    { involvedObject: { kind: "Pod", uid: "pod-uid" }, source: { host: "n1" } },
    { involvedObject: { kind: "Service" } },
  ]);
});
const byKind = (a: object, b: object): number => JSON.stringify(a).localeCompare(JSON.stringify(b));

it("reports why the supervisor cannot read a rule", async () => {
  const problems = [{ object: "Limit/ns/slow", path: "spec.egress", message: "no" }];
  const entry = {
    ...{ name: "n1", observedGeneration: 3, pods: 1, enforced: true, lastTransitionTime: "2026-01-01T00:00:00Z" },
  };
  const { agents, writes } = start({ problems, statuses: [{ ...standing, status: { nodes: [entry] } }] });
  agents[0].receipts = [receipt];
  await eventually(() => expect(writes.length).toBeGreaterThan(0));
  expect(writes[0]).toMatchObject({
    manager: "weir",
    body: { status: { conditions: [{ type: "Accepted", status: "False", message: "spec.egress: no" }, {}] } },
  });
});

it("keeps the results of a dead agent, and reports an API that refuses writes", async () => {
  const { agents, writes } = start({}, new Error("connect: ECONNREFUSED"));
  Object.assign(agents[0], { receipts: [receipt], dead: true });
  results?.changed();
  await eventually(() => expect(agents[0].asked).toBeGreaterThan(20));
  expect([writes, results?.troubles]).toEqual([[], []]);
  agents[0].dead = false;
  await eventually(() => expect(results?.troubles).toEqual(["write results of node n1: connect: ECONNREFUSED"]));
});
