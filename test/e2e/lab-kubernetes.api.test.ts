import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attempt, run } from "../../src/bench/weir.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { FaultProxy } from "../control-plane/fault-proxy.ts";
import { testEnvironment, WEIR } from "./lab.ts";

const LAB = `k${process.pid}`;
const BESIDE = `${LAB}b`;
const NODES = [`${LAB}-node-1`, `${LAB}-node-2`] as const;
const env = testEnvironment();
let plane: ControlPlane;

const weir = (...args: string[]) => run([...WEIR, ...args], { env, timeout: 120_000 });
const up = () => weir("lab", "up", "--name", LAB, "--nodes", "2", "--kubeconfig", plane.kubeconfig);
const exec = (pod: string, ...argv: string[]) => weir("lab", "exec", "--name", LAB, pod, "--", ...argv);
interface Row {
  pod: string;
  direction: string;
  configured: number | null;
}
async function limits(pod: string, lab = LAB): Promise<[string, number | null][]> {
  const text = await weir("get", "limits", "--lab", lab, "-o", "json");
  const { items } = JSON.parse(text) as { items: Row[] };
  return items.filter((one) => one.pod === pod).map(({ direction, configured }) => [direction, configured]);
}

function pod(name: string, { tolerant = true, ...spec }: Record<string, unknown> & { tolerant?: boolean } = {}) {
  const tolerations = tolerant ? [{ key: "weir.dev/lab", operator: "Exists" }] : [];
  const containers = [{ name: "main", image: "none", command: ["sleep", "infinity"] }];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: { tolerations, containers, ...spec },
  };
}

interface ApiPod {
  metadata: { uid: string };
  spec: { nodeName?: string };
  status: {
    phase: string;
    podIP?: string;
    podIPs?: { ip: string }[];
    hostIP?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { ready: boolean; restartCount: number; containerID?: string }[];
  };
}
interface NodeRow {
  name: string;
  agentPid: number | null;
  agentRestarts: number;
}
async function status(): Promise<{ supervisorPid: number; nodes: NodeRow[] }> {
  // Exit code 1 means that not all is ready.
  const { stdout } = await attempt([...WEIR, "lab", "status", "--name", LAB, "-o", "json"], { env });
  return JSON.parse(stdout);
}
async function agent(node: string | undefined): Promise<NodeRow> {
  const found = (await status()).nodes.find(({ name }) => name === node);
  if (!found) throw new Error(`the lab has no node ${node}`);
  return found;
}

async function get<T>(...what: string[]): Promise<T> {
  return JSON.parse(await plane.must(["get", ...what, "-o", "json"])) as T;
}
const getPod = (name: string) => get<ApiPod>("pod", name);
const ready = ({ status }: ApiPod) => status.conditions?.some((one) => one.type === "Ready" && one.status === "True");

/** Polls until the value is as expected; throws the last failure. */
async function eventually<T>(look: () => Promise<T>, good: (seen: T) => boolean, timeout = 90_000): Promise<T> {
  const end = Date.now() + timeout;
  for (;;) {
    const seen = await look();
    if (good(seen)) return seen;
    if (Date.now() > end) throw new Error(`not so after ${timeout} ms: ${JSON.stringify(seen)}`);
    await sleep(100);
  }
}
const running = (name: string) =>
  eventually(
    () => getPod(name),
    (one) => ready(one) === true,
  );

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.namespace("default");
  await up();
  await plane.installDefinitions();
});
afterAll(async () => {
  await attempt([...WEIR, "lab", "down", "--name", LAB], { env });
  await plane?.close();
});

test("the lab's nodes are registered, tainted and ready", async () => {
  const { items } = await get<{
    items: { metadata: { name: string }; spec: object; status: { conditions: object[]; addresses: object[] } }[];
  }>("nodes");
  expect(items.map(({ metadata }) => metadata.name)).toEqual(NODES);
  for (const { spec, status } of items) {
    expect(spec).toMatchObject({
      taints: expect.arrayContaining([{ key: "weir.dev/lab", value: LAB, effect: "NoSchedule" }]),
    });
    expect(status.addresses).toMatchObject([
      { type: "InternalIP", address: expect.stringMatching(/^172\.30\.0\./) },
      { type: "InternalIP", address: expect.stringMatching(/^fd00:172:30::/) },
      { type: "Hostname" },
    ]);
    expect(status.conditions).toMatchObject([{ type: "Ready", status: "True" }]);
  }
});

test("pods that tolerate the taint run, and kubectl shows node, addresses and readiness; others are not touched", async () => {
  await plane.apply(pod("web"), pod("db"), pod("shy", { tolerant: false }), pod("far", { nodeName: "elsewhere" }));
  const [web, db] = await Promise.all([running("web"), running("db")]);
  expect([web.spec.nodeName, db.spec.nodeName].sort()).toEqual(NODES);
  expect(web.status.podIPs).toMatchObject([{ ip: /^10\.244\./ }, { ip: /^fd00:10:244:/ }].map(matching));
  const wide = await plane.must(["get", "pods", "-o", "wide"]);
  expect(wide).toMatch(new RegExp(`^web +1/1 +Running +0 .* ${web.status.podIP} +${web.spec.nodeName} `, "m"));
  expect(wide).toMatch(/^shy +0\/1 +Pending .* <none> +<none> /m);
  expect((await getPod("shy")).spec.nodeName).toBeUndefined();
  expect((await getPod("far")).status).toMatchObject({ phase: "Pending" });
  for (const { ip } of db.status.podIPs ?? []) await exec("web", "ping", "-c", "1", "-W", "5", ip);
});

test("an annotation of kubectl takes effect on the running pod: added, changed and removed", async () => {
  const { metadata, status } = await running("web");
  for (const [annotation, rate] of [
    ["bandwidth=10 mbps egress", 10e6],
    ["bandwidth=20 mbps egress", 20e6],
  ] as const) {
    await plane.must(["annotate", "--overwrite", "pod", "web", annotation]);
    await eventually(
      () => limits("web"),
      (rows) => JSON.stringify(rows) === JSON.stringify([["egress", rate]]),
    );
  }
  await plane.must(["annotate", "pod", "web", "bandwidth-"]);
  await eventually(
    () => limits("web"),
    (rows) => rows.length === 0,
  );
  const after = await getPod("web");
  expect(after.metadata.uid).toBe(metadata.uid);
  expect(after.status.containerStatuses).toEqual(status.containerStatuses);
});

test("Services' rules, Limits and Impairments are in force; bad ones are refused by the server", async () => {
  const own = { apiVersion: "weir.dev/v1alpha1" };
  await plane.apply(
    {
      ...own,
      kind: "Limit",
      metadata: { name: "slow" },
      spec: { selector: { matchLabels: { app: "web" } }, ingress: "30M" },
    },
    {
      ...own,
      kind: "Impairment",
      metadata: { name: "cut" },
      spec: {
        selector: { matchLabels: { app: "web" } },
        direction: "egress",
        loss: "100%",
        match: { peers: [{ service: { name: "db" } }] },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "db", annotations: { bandwidth: "40 mbps ingress" } },
      spec: { selector: { app: "db" }, ports: [{ port: 80 }] },
    },
  );
  await eventually(
    () => limits("web"),
    (rows) => JSON.stringify(rows) === JSON.stringify([["ingress", 30e6]]),
  );
  await eventually(
    () => limits("db"),
    (rows) => JSON.stringify(rows) === JSON.stringify([["ingress", 40e6]]),
  );
  const { podIP = "" } = (await getPod("db")).status;
  const ping = () =>
    attempt([...WEIR, "lab", "exec", "--name", LAB, "web", "--", "ping", "-c", "1", "-W", "1", podIP], { env });
  await eventually(ping, ({ code }) => code !== 0);
  await plane.must(["delete", "limit/slow", "impairment/cut", "service/db"]);
  await eventually(ping, ({ code }) => code === 0);
  await eventually(
    () => limits("web"),
    (rows) => rows.length === 0,
  );
  const bad = {
    ...own,
    kind: "Impairment",
    metadata: { name: "bad" },
    spec: { pod: "web", direction: "both", loss: "200%" },
  };
  const { code, err } = await plane.kubectl(["apply", "-f", "-"], { input: JSON.stringify(bad) });
  expect(code).not.toBe(0);
  expect(err).toContain("spec.loss");
});

interface RuleObject {
  metadata: { generation: number };
  status?: {
    observedGeneration?: number;
    nodes?: { name: string; pods: number; enforced: boolean; message?: string }[];
    conditions?: { type: string; status: string; reason: string; message: string; observedGeneration: number }[];
  };
}
/** Waits until an object has these conditions: `Accepted STATUS GENERATION`, `Enforced …`. */
const conditions = (kind: string, name: string, ...wanted: string[]) =>
  eventually(
    () => get<RuleObject>(kind, name),
    ({ status }) =>
      wanted.join() ===
      (status?.conditions ?? []).map((one) => `${one.type} ${one.status} ${one.observedGeneration}`).join(),
  );
const rule = (kind: string, name: string, spec: object) => ({
  ...{ apiVersion: "weir.dev/v1alpha1", kind, metadata: { name } },
  spec,
});
const all = (app: string) => ({ selector: { matchLabels: { app } } });

test("kubectl shows the rules' conditions with an entry for each node, and events; all are removed at the end", async () => {
  const [web, db] = await Promise.all([running("web"), running("db")]);
  const both = { selector: { matchExpressions: [{ key: "app", operator: "In", values: ["web", "db"] }] } };
  const lossy = (loss: string) => rule("Impairment", "lossy", { ...both, direction: "egress", loss, lease: "60s" });
  await plane.apply(lossy("1%"));
  await conditions("impairment", "lossy", "Accepted True 1", "Enforced True 1");
  // Nodes report in any order.
  const first = await eventually(
    () => get<RuleObject>("impairment", "lossy"),
    ({ status }) => status?.conditions?.[1]?.message === "in force for 2 pods on 2 nodes",
  );
  const entry = { pods: 1, enforced: true, observedGeneration: 1 };
  expect(first.status?.observedGeneration).toBe(1);
  const entries = first.status?.nodes?.toSorted((a, b) => a.name.localeCompare(b.name));
  expect(entries).toMatchObject(NODES.map((name) => ({ name, ...entry })));
  await plane.apply(lossy("2%"));
  await conditions("impairment", "lossy", "Accepted True 2", "Enforced True 2");

  await plane.apply(rule("Limit", "one", { ...all("web"), egress: "10M" }));
  await conditions("limit", "one", "Accepted True 1", "Enforced True 1");
  await plane.apply(rule("Limit", "two", { ...all("web"), egress: "5M" }));
  await conditions("limit", "two", "Accepted True 1", "Enforced False 1");
  const { status } = await get<RuleObject>("limit", "two");
  expect(status?.conditions?.[1]).toMatchObject({ reason: "NotEnforced", message: expect.stringContaining("one") });
  await plane.must(["delete", "limit/one"]);
  await conditions("limit", "two", "Accepted True 1", "Enforced True 1");

  await plane.must(["annotate", "pod", "db", "kubernetes.io/ingress-bandwidth=fast"]);
  const events = async () => {
    const { items } = await get<{ items: { message: string; involvedObject: object; source: object }[] }>("events");
    return items.filter(({ message }) => message.includes("ingress-bandwidth"));
  };
  const [event] = await eventually(events, (seen) => seen.length === 1);
  expect(event).toMatchObject({
    ...{ type: "Warning", source: { host: db.spec.nodeName } },
    involvedObject: {
      kind: "Pod",
      name: "db",
      uid: db.metadata.uid,
      fieldPath: expect.stringContaining("annotations"),
    },
  });
  await plane.must(["annotate", "pod", "db", "kubernetes.io/ingress-bandwidth-"]);

  // The conditions stay, and nothing is written any more.
  await conditions("impairment", "lossy", "Accepted True 2", "Enforced True 2");
  const version = () =>
    plane.must(["get", "limit/two", "impairment/lossy", "-o", "jsonpath={.items[*].metadata.resourceVersion}"]);
  const before = await version();
  await sleep(2500);
  expect(await version()).toBe(before);
  expect(await events()).toHaveLength(1);

  await plane.must(["delete", "impairment/lossy", "limit/two"]);
  await eventually(
    () => limits("web"),
    (rows) => rows.length === 0,
  );
  expect((await plane.must(["get", "limits,impairments", "-A", "-o", "name"])).trim()).toBe("");
  expect((await running("web")).metadata.uid).toBe(web.metadata.uid);
});

test("kubectl delete ends a pod with SIGTERM and within its grace period", async () => {
  const file = `/tmp/${LAB}-ended`;
  const script = `trap 'echo ended > ${file}; exit 0' TERM; while :; do sleep 0.1; done`;
  await plane.apply(pod("polite", { containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }] }));
  await running("polite");
  await plane.must(["delete", "pod", "polite", "--timeout=20s"]);
  expect(readFileSync(file, "utf8")).toBe("ended\n");
  await run(["rm", file]);
  expect((await plane.kubectl(["get", "pod", "polite"])).err).toContain("NotFound");
  expect(await weir("lab", "status", "--name", LAB)).not.toContain("polite");
});

test("pods, rules and a restarted agent work without the API server, and are up to date once it is back", async () => {
  const before = await getPod("web");
  await plane.must(["annotate", "pod", "web", "bandwidth=50 mbps egress"]);
  await eventually(
    () => limits("web"),
    (rows) => rows.length === 1,
  );
  await plane.stopApi();
  const { podIP = "" } = before.status;
  await exec("db", "ping", "-c", "2", "-i", "0.2", "-W", "5", podIP);
  expect(await limits("web")).toEqual([["egress", 50e6]]);
  const old = await agent(before.spec.nodeName);
  process.kill(old.agentPid ?? 0, "SIGKILL");
  await eventually(
    () => agent(before.spec.nodeName),
    ({ agentPid, agentRestarts }) => agentPid !== null && agentRestarts > old.agentRestarts,
  );
  await eventually(
    () => limits("web").catch(() => []),
    (rows) => JSON.stringify(rows) === JSON.stringify([["egress", 50e6]]),
  );
  await exec("db", "ping", "-c", "2", "-i", "0.2", "-W", "5", podIP);
  await plane.compact(); // The lab's watches cannot resume after this.
  await plane.startApi();
  await plane.must(["annotate", "--overwrite", "pod", "web", "bandwidth=60 mbps egress"]);
  await eventually(
    () => limits("web"),
    ([row]) => row?.[1] === 60e6,
  );
  await plane.apply(pod("late"));
  await running("late");
  const after = await running("web");
  expect(after.metadata.uid).toBe(before.metadata.uid);
  expect(after.status.containerStatuses).toEqual(before.status.containerStatuses);
});

test("a second lab works while half of the API's answers are status 500", async () => {
  const proxy = await FaultProxy.start({ server: plane.server, ca: plane.ca });
  const kubeconfig = `${plane.folder}/proxy.yaml`;
  writeFileSync(kubeconfig, plane.kubeconfigOf(plane.token, proxy.url));
  try {
    await weir("lab", "up", "--name", BESIDE, "--kubeconfig", kubeconfig);
    proxy.fault = "half-500";
    await plane.apply(pod("beside", { tolerations: [{ key: "weir.dev/lab", value: BESIDE, effect: "NoSchedule" }] }));
    expect((await running("beside")).spec.nodeName).toBe(`${BESIDE}-node-1`);
    await plane.must(["annotate", "pod", "beside", "bandwidth=10 mbps egress"]);
    await eventually(
      () => limits("beside", BESIDE),
      ([row]) => row?.[1] === 10e6,
    );
    await plane.must(["delete", "pod", "beside", "--grace-period=1", "--timeout=30s"]);
    await weir("lab", "down", "--name", BESIDE);
    expect(proxy.spoilt).toBeGreaterThan(5);
  } finally {
    await attempt([...WEIR, "lab", "down", "--name", BESIDE], { env });
    await proxy.close();
  }
  const nodes = await plane.must(["get", "nodes", "-o", "name"]);
  expect(nodes.trim().split("\n").sort()).toEqual(NODES.map((name) => `node/${name}`));
});

test("after kill -9 of the supervisor, down and up give a working lab; down keeps objects of others", async () => {
  const { supervisorPid } = await status();
  process.kill(supervisorPid, "SIGKILL");
  await weir("lab", "down", "--name", LAB);
  const left = await plane.must(["get", "pods,nodes,leases", "-n", "default", "-o", "name"]);
  expect(left.trim().split("\n").sort()).toEqual(["pod/far", "pod/shy"]);
  expect(await plane.must(["get", "leases", "-n", "kube-node-lease", "-o", "name"])).toBe("");
  await up();
  await plane.apply(pod("again"), rule("Limit", "slow", { ...all("again"), egress: "10M" }));
  await running("again");
  await conditions("limit", "slow", "Accepted True 1", "Enforced True 1");
  await weir("lab", "down", "--name", LAB);
  const { status: last } = await get<RuleObject>("limit", "slow");
  expect(last?.nodes ?? []).toEqual([]);
  expect(last?.conditions?.map(({ type, reason }) => [type, reason])).toEqual([
    ["Accepted", "Valid"],
    ["Enforced", "NoPods"],
  ]);
  const end = await plane.must(["get", "pods,nodes", "-o", "name"]);
  expect(end.trim().split("\n").sort()).toEqual(["pod/far", "pod/shy"]);
});

function matching({ ip }: { ip: RegExp }) {
  return { ip: expect.stringMatching(ip) };
}
