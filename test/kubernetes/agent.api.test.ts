import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { AgentNode } from "../control-plane/agent-node.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { FaultProxy } from "../control-plane/fault-proxy.ts";

/** An agent on a real API: edits by kubectl take effect, and faults of the API change nothing. */

const NODE = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  spec: { podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"] },
};
const POD = {
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "default", labels: { app: "web" } } },
  spec: { nodeName: "n1", containers: [{ name: "main", image: "example.test/main:1" }] },
};
const EDITS = Number(process.env["WEIR_EDITS"] ?? 8);
const OUTAGE = Number(process.env["WEIR_OUTAGE"] ?? 3) * 1000;

let plane: ControlPlane;
let node: AgentNode;
let proxy: FaultProxy;

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.installDefinitions();
  await plane.namespace("default");
  await plane.apply(NODE, POD);
  node = new AgentNode("n1");
  proxy = await FaultProxy.start({ server: plane.server, ca: plane.ca, namespace: node.namespace });
  await node.start(plane.kubeconfigOf(plane.token, proxy.url));
  const uid = await plane.must(["get", "pod", "web", "-o", "jsonpath={.metadata.uid}"]);
  await node.addPod("default", "web", uid);
});
afterEach((context) => {
  if (context.task.result?.state === "fail") process.stderr.write(node?.log ?? "");
});
afterAll(async () => {
  await node?.close();
  await proxy?.close();
  await plane?.close();
});

/** bit/s of the pod's egress that the datapath enforces. */
const enforced = async (): Promise<number | null | undefined> =>
  (await node.client.list("limits")).find(({ direction }) => direction === "egress")?.effective;
const annotate = (rate: number) =>
  plane.must(["annotate", "--overwrite", "pod", "web", `kubernetes.io/egress-bandwidth=${rate}M`]);

/** Milliseconds until the rate (Mbit/s) is in force. */
async function until(rate: number, patience: number): Promise<number> {
  const begin = performance.now();
  while ((await enforced()) !== rate * 1e6) {
    if (performance.now() - begin > patience) throw new Error(`${rate} Mbit/s: ${await enforced()} is in force`);
    await sleep(5);
  }
  return performance.now() - begin;
}

describe("an agent on a Kubernetes API", () => {
  test("starts without a warning of Node.js", () => {
    expect(node.log).not.toContain("Warning");
  });

  test(`${EDITS} edits by kubectl take effect`, async () => {
    const times: { whole: number; after: number }[] = [];
    for (let edit = 0; edit < EDITS; edit++) {
      const begin = performance.now();
      await annotate(10 + edit);
      const after = await until(10 + edit, 60_000);
      times.push({ whole: performance.now() - begin, after });
    }
    const sorted = (pick: (one: { whole: number; after: number }) => number) => times.map(pick).sort((a, b) => a - b);
    for (const [what, all] of [
      ["with kubectl", sorted((one) => one.whole)],
      ["after kubectl", sorted((one) => one.after)],
    ] as const) {
      const at = (share: number) => Math.round(all[Math.min(all.length - 1, Math.ceil(all.length * share) - 1)] ?? 0);
      console.info(`edit to force, ${what}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`);
    }
  });

  test(
    "the API server killed, its history forgotten, and started again: rules stay, then follow",
    async () => {
      await annotate(50);
      await until(50, 60_000);
      const { pid } = node;
      await plane.stopApi();
      await sleep(OUTAGE);
      expect(await enforced()).toBe(50e6);
      expect(JSON.stringify(await node.client.list("problems"))).toContain("the last state stays");
      await plane.startApi();
      await annotate(51);
      await plane.compact();
      console.info(`after an outage of ${OUTAGE / 1000} s: in force in ${Math.round(await until(51, 60_000))} ms`);
      expect(node.pid).toBe(pid);
      await expect.poll(() => node.client.list("problems"), { timeout: 60_000 }).toEqual([]);
    },
    OUTAGE + 300_000,
  );

  test("a replaced kubeconfig is read: refused with a bad token, accepted with a valid one; rules stay in force", async () => {
    await annotate(55);
    await until(55, 60_000);
    node.replaceKubeconfig(plane.kubeconfigOf("nobody", proxy.url));
    proxy.fault = "reset";
    proxy.fault = "none";
    const problems = async () => JSON.stringify(await node.client.list("problems"));
    await expect.poll(problems, { timeout: 20_000 }).toContain("401 Unauthorized");
    expect(await enforced()).toBe(55e6);
    node.replaceKubeconfig(plane.kubeconfigOf(plane.token, proxy.url));
    await annotate(56);
    await until(56, 60_000);
    await expect.poll(() => node.client.list("problems"), { timeout: 60_000 }).toEqual([]);
    expect(node.log).toContain("a source is hindered");
    expect(node.log).toContain("a source is no longer hindered");
  });

  test.each(["half-500", "reset"] as const)(
    "answers that are spoilt (%s): rules stay, and the state converges",
    async (fault) => {
      const rate = fault === "reset" ? 61 : 60;
      const { pid } = node;
      proxy.fault = "reset"; // Ends the watches, so that all are opened again.
      await sleep(300);
      proxy.fault = fault;
      const before = proxy.spoilt;
      await annotate(rate);
      if (fault === "half-500") await until(rate, 60_000);
      else await sleep(1500);
      await expect.poll(() => proxy.spoilt, { timeout: 60_000 }).toBeGreaterThan(before);
      expect(await enforced()).not.toBeNull();
      proxy.fault = "none";
      await until(rate, 60_000);
      expect(node.pid).toBe(pid);
    },
  );
});
