import { homedir } from "node:os";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { attempt, run } from "../../src/bench/weir.ts";
import { KubernetesClient, openAccess } from "../../src/sources/kubernetes/index.ts";
import { resourceOf } from "../../src/sources/manifests/index.ts";
import { AgentNode } from "../control-plane/agent-node.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { FaultProxy } from "../control-plane/fault-proxy.ts";
import { testEnvironment, WEIR } from "../e2e/lab.ts";
import { type Case, sample } from "./documents.ts";

/**
 * Documents of the fuzz test that the API server accepts reach a lab and an agent; both must go on, and valid pods'
 * limits must follow edits.
 */

const LAB = `f${process.pid}`;
const SAFE = "safe";
const NODE = {
  ...{ apiVersion: "v1", kind: "Node", metadata: { name: "n1" } },
  spec: { podCIDRs: ["10.244.9.0/24", "fd00:10:244:9::/64"] },
};
const AT_ONCE = 100;
/** One of this many pods is run. */
const RUN = 25;
const env = testEnvironment();
let plane: ControlPlane;
let client: KubernetesClient;
let proxy: FaultProxy;
let node: AgentNode;

const good = (name: string, nodeName: string) => ({
  ...{
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: SAFE, annotations: { bandwidth: "10 mbps egress" } },
  },
  spec: { nodeName, containers: [{ name: "c", image: "none", command: ["sleep", "infinity"] }] },
});

beforeAll(async () => {
  plane = await ControlPlane.start();
  for (const name of ["default", SAFE]) await plane.namespace(name);
  await plane.installDefinitions();
  await run([...WEIR, "lab", "up", "--name", LAB, "--nodes", "1", "--kubeconfig", plane.kubeconfig], { env });
  await plane.apply(NODE, good("in-lab", `${LAB}-node-1`), good("by-itself", "n1"));
  node = new AgentNode("n1");
  proxy = await FaultProxy.start({ server: plane.server, ca: plane.ca, namespace: node.namespace });
  await node.start(plane.kubeconfigOf(plane.token, proxy.url));
  const uid = await plane.must(["get", "pod", "-n", SAFE, "by-itself", "-o", "jsonpath={.metadata.uid}"]);
  await node.addPod(SAFE, "by-itself", uid);
  client = new KubernetesClient(openAccess({ kubeconfig: plane.kubeconfig, env: {}, home: homedir() }));
});
afterEach((context) => {
  if (context.task.result?.state === "fail") process.stderr.write(node?.log ?? "");
});
afterAll(async () => {
  client?.close();
  await attempt([...WEIR, "lab", "down", "--name", LAB], { env });
  await node?.close();
  await proxy?.close();
  await plane?.close();
});

/** bit/s in force of both valid pods' egress. */
async function enforced(): Promise<(number | null | undefined)[]> {
  const text = await run([...WEIR, "get", "limits", "--lab", LAB, "-o", "json"], { env });
  const { items } = JSON.parse(text) as { items: { pod: string; effective: number | null }[] };
  const own = await node.client.list("limits");
  return [items.find(({ pod }) => pod === "in-lab"), own.find(({ pod }) => pod === "by-itself")].map(
    (one) => one?.effective,
  );
}

/** PIDs of both: a change shows that one has ended. */
async function living(): Promise<unknown> {
  const { stdout } = await attempt([...WEIR, "lab", "status", "--name", LAB, "-o", "json"], { env });
  const { supervisorPid, nodes } = JSON.parse(stdout) as { supervisorPid: number; nodes: { agentPid: number }[] };
  return { supervisorPid, agents: nodes.map(({ agentPid }) => agentPid), own: node.pid };
}

/** Creates a document at the API; false if the server refuses it. */
async function create({ kind, document }: Case, index: number): Promise<boolean> {
  const resource = resourceOf(kind);
  if (!resource) throw new Error(`the API has no place for ${kind}`);
  const spec = document["spec"] as { nodeName?: unknown } | undefined;
  const runs = kind === "Pod" && index % RUN === 0 && spec?.nodeName === "node-1";
  const body = runs ? { ...document, spec: { ...spec, nodeName: `${LAB}-node-1` } } : document;
  return client.create(resource, resource.namespaced ? { namespace: "default" } : {}, body).then(
    () => true,
    (error: { status?: number }) => {
      expect(error.status, `${error} ${JSON.stringify(document)}`).toBeTypeOf("number");
      return false;
    },
  );
}

const cases = sample();

test(`${cases.length} documents at the API end no process, and valid pods' limits follow their edits`, {
  timeout: 270_000,
}, async () => {
  await expect.poll(enforced, { timeout: 30_000 }).toEqual([10e6, 10e6]);
  const before = await living();
  let taken = 0;
  for (let begin = 0; begin < cases.length; begin += AT_ONCE) {
    const answers = await Promise.all(
      cases.slice(begin, begin + AT_ONCE).map((one, index) => create(one, begin + index)),
    );
    taken += answers.filter((one) => one).length;
    const rate = 11 + begin / AT_ONCE;
    await plane.must(["annotate", "--overwrite", "-n", SAFE, "pod", "--all", `bandwidth=${rate} mbps egress`]);
    await expect.poll(enforced, { timeout: 30_000, interval: 200 }).toEqual([rate * 1e6, rate * 1e6]);
    expect(await living()).toEqual(before);
  }
  console.info(`the API server took ${taken} of ${cases.length}`);
  expect(taken).toBeGreaterThan(cases.length / 10);
});
