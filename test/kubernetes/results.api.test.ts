import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { AgentNode } from "../control-plane/agent-node.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { FaultProxy } from "../control-plane/fault-proxy.ts";

/** Two agents with the service account of deploy/rbac.yaml; their conditions and events are read with kubectl. */

const NODES = ["n1", "n2"] as const;
const node = (name: string, index: number) => ({
  ...{ apiVersion: "v1", kind: "Node", metadata: { name } },
  spec: { podCIDRs: [`10.244.${index + 1}.0/24`, `fd00:10:244:${index + 1}::/64`] },
});
const pod = (name: string, nodeName: string) => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", labels: { app: "web" } } },
  spec: { nodeName, containers: [{ name: "main", image: "example.test/main:1" }] },
});
const rule = (kind: string, name: string, spec: object) => ({
  ...{ apiVersion: "weir.dev/v1alpha1", kind, metadata: { name, namespace: "default" } },
  spec,
});

let plane: ControlPlane;
const nodes: AgentNode[] = [];
const proxies: FaultProxy[] = [];

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.installDefinitions();
  await plane.must(["apply", "-f", new URL("../../deploy/rbac.yaml", import.meta.url).pathname]);
  await plane.namespace("default");
  await plane.apply(...NODES.map(node), pod("a", "n1"), pod("b", "n2"));
  const token = (await plane.must(["create", "token", "weir-agent", "-n", "weir-system"])).trim();
  for (const [index, name] of NODES.entries()) {
    const one = new AgentNode(name);
    nodes.push(one);
    const proxy = await FaultProxy.start({ server: plane.server, ca: plane.ca, namespace: one.namespace });
    proxies.push(proxy);
    await one.start(plane.kubeconfigOf(token, proxy.url));
    const own = index === 0 ? "a" : "b";
    await one.addPod("default", own, await plane.must(["get", "pod", own, "-o", "jsonpath={.metadata.uid}"]));
  }
});
afterEach((context) => {
  if (context.task.result?.state === "fail") for (const one of nodes) process.stderr.write(one.log);
});
afterAll(async () => {
  for (const one of nodes) await one.close();
  for (const one of proxies) await one.close();
  await plane?.close();
});

interface Status {
  observedGeneration?: number;
  nodes?: { name: string; pods: number; enforced: boolean; observedGeneration: number }[];
  conditions?: {
    type: string;
    status: string;
    reason: string;
    message: string;
    observedGeneration: number;
    lastTransitionTime: string;
  }[];
}
async function read(kind: string, name: string) {
  const object = JSON.parse(await plane.must(["get", kind, name, "-o", "json"]));
  const status = (object.status ?? {}) as Status;
  const said = Object.fromEntries((status.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}`]));
  return { object, status, said, version: object.metadata.resourceVersion as string };
}

describe("conditions", () => {
  test("each node has its own entry, both agree on the summary, and then no more is written", async () => {
    await plane.apply(rule("Limit", "slow", { selector: { matchLabels: { app: "web" } }, egress: "10M" }));
    const said = async () => (await read("limit", "slow")).said;
    await expect.poll(said, { timeout: 60_000 }).toEqual({ Accepted: "True Valid", Enforced: "True InForce" });
    await expect.poll(async () => (await read("limit", "slow")).status.nodes?.length, { timeout: 60_000 }).toBe(2);
    await expect
      .poll(async () => (await read("limit", "slow")).status.conditions?.[1]?.message, { timeout: 60_000 })
      .toBe("in force for 2 pods on 2 nodes");
    const { status, object, version } = await read("limit", "slow");
    expect(status.observedGeneration).toBe(1);
    // In the order of their arrival.
    expect(status.nodes?.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toMatchObject(
      NODES.map((name) => ({ name, pods: 1, enforced: true, observedGeneration: 1 })),
    );
    for (const one of status.conditions ?? []) {
      expect(one).toMatchObject({ observedGeneration: 1, lastTransitionTime: expect.stringMatching(/^20.*Z$/) });
    }
    const managers = JSON.parse(await plane.must(["get", "limit", "slow", "-o", "json", "--show-managed-fields"]))
      .metadata.managedFields;
    expect(
      managers
        .flatMap((one: { manager: string; subresource?: string }) => (one.subresource ? [one.manager] : []))
        .sort(),
    ).toEqual(["weir", "weir-agent-n1", "weir-agent-n2"]);
    expect(object.spec).toEqual({ selector: { matchLabels: { app: "web" } }, egress: "10M" });
    await sleep(2000);
    expect((await read("limit", "slow")).version).toBe(version);
  });

  test("a change is reported with its generation; unchanged conditions keep their time", async () => {
    const before = (await read("limit", "slow")).status.conditions?.find((one) => one.type === "Accepted");
    await plane.must(["patch", "limit", "slow", "--type=merge", "-p", '{"spec":{"egress":"20M"}}']);
    const seen = async () =>
      (await read("limit", "slow")).status.conditions?.map((one) => [one.status, one.observedGeneration]);
    await expect.poll(seen, { timeout: 60_000 }).toEqual([
      ["True", 2],
      ["True", 2],
    ]);
    const after = (await read("limit", "slow")).status.conditions?.find((one) => one.type === "Accepted");
    expect(after?.lastTransitionTime).toBe(before?.lastTransitionTime);
  });

  test("an object without pods, an overruled one, and one in force", async () => {
    await plane.apply(
      rule("Limit", "nobody", { pod: "none", egress: "10M" }),
      rule("Impairment", "lossy", { pod: "a", direction: "egress", loss: "1%", lease: "60s" }),
      rule("Limit", "rival", { pod: "a", egress: "5M" }),
    );
    const said = async (kind: string, name: string) => (await read(kind, name)).said;
    await expect
      .poll(() => said("limit", "nobody"), { timeout: 60_000 })
      .toEqual({ Accepted: "True Valid", Enforced: "False NoPods" });
    await expect
      .poll(() => said("impairment", "lossy"), { timeout: 60_000 })
      .toEqual({ Accepted: "True Valid", Enforced: "True InForce" });
    await expect
      .poll(async () => [(await said("limit", "slow"))["Enforced"], (await said("limit", "rival"))["Enforced"]], {
        timeout: 60_000,
      })
      .toContain("False NotEnforced");
    const table = await plane.must(["get", "impairment", "lossy"]);
    expect(table).toMatch(/ACCEPTED +ENFORCED/);
    expect(table).toMatch(/True +True/);
  });
});

describe("events", () => {
  test("a bad annotation gives one event on its pod, with the field", async () => {
    await plane.must(["annotate", "pod", "a", "kubernetes.io/ingress-bandwidth=fast"]);
    const events = async () =>
      (
        JSON.parse(await plane.must(["get", "events", "-o", "json"])).items as {
          type: string;
          message: string;
          involvedObject: { name: string; fieldPath: string; uid: string };
        }[]
      ).filter(({ message }) => message.includes("ingress-bandwidth"));
    await expect.poll(async () => (await events()).length, { timeout: 60_000 }).toBe(1);
    const [event] = await events();
    expect(event).toMatchObject({
      type: "Warning",
      involvedObject: { name: "a", fieldPath: expect.stringContaining("ingress-bandwidth") },
    });
    await plane.must(["label", "pod", "a", "touched=yes"]);
    await sleep(1000);
    expect(await events()).toHaveLength(1);
  });
});

describe("the agent's role", () => {
  const may = async (...question: string[]) =>
    (
      await plane.kubectl(["auth", "can-i", ...question, "--as=system:serviceaccount:weir-system:weir-agent"])
    ).out.trim();
  test.each([
    ["yes", ["list", "pods", "-A"]],
    ["yes", ["watch", "impairments.weir.dev", "-A"]],
    ["yes", ["patch", "limits.weir.dev", "--subresource=status", "-A"]],
    ["yes", ["create", "events", "-A"]],
    ["no", ["list", "secrets", "-A"]],
    ["no", ["patch", "pods", "-A"]],
    ["no", ["update", "nodes"]],
    ["no", ["patch", "limits.weir.dev", "-A"]],
    ["no", ["delete", "events", "-A"]],
    ["no", ["create", "pods", "-A"]],
  ])("%s: %j", async (answer, question) => {
    expect(await may(...question)).toBe(answer);
  });

  test("has no wildcards", async () => {
    expect(await readFile(new URL("../../deploy/rbac.yaml", import.meta.url), "utf8")).not.toContain("*");
  });
});
