import { expect, test } from "vitest";
import { Client } from "../../src/api/client.ts";
import { attempt } from "../../src/bench/weir.ts";
import { lab, testEnvironment, WEIR } from "../e2e/lab.ts";
import { type Case, parked, sample } from "./documents.ts";

const GOOD = { name: "good", namespace: "safe", node: "node-1" };
const limited = (mbps: number) => ({ ...GOOD, annotations: { bandwidth: `${mbps} mbps egress` } });
const AT_ONCE = 100;
/** One of this many pods may run. */
const RUN = 25;

interface Living {
  supervisor: number;
  agents: unknown;
}

const fixture = lab({ nodes: 1, pods: [limited(10)] });

interface LabStatus {
  supervisorPid: number;
  nodes: unknown;
  problems: { object: string }[];
}

async function status(): Promise<LabStatus> {
  const argv = [...WEIR, "lab", "status", "--name", fixture.stage.name, "-o", "json"];
  return JSON.parse((await attempt(argv, { env: testEnvironment() })).stdout);
}

/** PIDs of the lab's processes: a change shows that one has ended. */
async function living(): Promise<Living> {
  const { supervisorPid: supervisor, nodes: agents } = await status();
  return { supervisor, agents };
}

/** True if the lab has read one of these documents: some of a hundred are always invalid and are reported. */
async function hasRead(some: readonly Case[]): Promise<boolean> {
  const { problems } = await status();
  return some.some(({ name }) => problems.some(({ object }) => object.endsWith(`/${name}`)));
}

/** bit/s of the valid pod's egress that are in force. */
async function enforced(): Promise<number | null | undefined> {
  const all = await fixture.stage.limits();
  return all.find(({ pod, namespace }) => pod === GOOD.name && namespace === GOOD.namespace)?.effective;
}

const cases = sample();

test(`${cases.length} documents in the watched folder end no process, and a valid pod's limit follows its edits`, async () => {
  const { stage } = fixture;
  const before = await living();
  for (let begin = 0; begin < cases.length; begin += AT_ONCE) {
    const some = cases.slice(begin, begin + AT_ONCE);
    const items = some.map((one, index) => (index % RUN === 0 ? one.document : parked(one)));
    stage.writeManifest("fuzz.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const rate = 11 + begin / AT_ONCE;
    stage.writePod(limited(rate));
    await expect.poll(() => hasRead(some), { timeout: 30_000, interval: 200 }).toBe(true);
    await expect.poll(enforced, { timeout: 30_000, interval: 200 }).toBe(rate * 1e6);
    expect(await living()).toEqual(before);
  }
  stage.removeManifest("fuzz.json");
  await stage.apply([limited(9)]);
  expect([await enforced(), await living()]).toEqual([9e6, before]);
});

test(`${cases.length} documents at the agent's API are accepted or refused with a reason`, async () => {
  const before = await living();
  const client = new Client({ socket: `/run/weir/labs/${fixture.stage.name}/nodes/node-1/agent.sock` });
  let refused = 0;
  for (const [index, { document }] of cases.entries()) {
    const failure: unknown = await client.putObjects([document], { dryRun: index % RUN > 0 }).then(
      () => undefined,
      (error) => error,
    );
    if (failure === undefined) continue;
    refused += 1;
    expect(failure, JSON.stringify(document)).toMatchObject({ status: expect.toSatisfy((status) => status < 500) });
  }
  expect(refused).toBeGreaterThan(cases.length / 50);
  expect(refused).toBeLessThan(cases.length / 2);
  expect([await enforced(), await living()]).toEqual([9e6, before]);
});
