import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { ApiError } from "../api/errors.ts";
import { MemoryTable } from "../datapath/tables.ts";
import { jsonCodec, type Memory } from "../datapath/testing/memory.ts";
import { KernelError } from "../kernel/index.ts";
import { podDevice } from "../model/ipam.ts";
import { objectKey } from "../model/names.ts";
import type { PodAttachment } from "../model/node-context.ts";
import type { ManifestObject } from "../model/objects.ts";
import { type ManifestWatch, parseManifests, type Trouble } from "../sources/manifests/index.ts";
import type { Agent } from "./agent.ts";
import { AgentBackend } from "./backend.ts";
import { agentOn, memoryKernel, type TestAgent } from "./testing/agent.ts";

let folder: string;
let stop: AbortController;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-agent-"));
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  rmSync(folder, { recursive: true, force: true });
});

const NODE = {
  name: "n1",
  overlay: "vxlan" as const,
  addresses: ["192.0.2.1"],
  podCIDRs: ["10.244.1.0/24"],
  uplink: "lo",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
const POD = { uid: "u1", netns: "/run/netns/a", ifname: "eth0" };

/** Starts an agent on this in-memory kernel, with its sources synced. */
function startOn(kernel: Memory, more: Partial<TestAgent> = {}): AgentBackend & { agent: Agent } {
  const agent = agentOn({ node: NODE, folder, kernel, signal: stop.signal, ...more });
  agent.start();
  return Object.assign(new AgentBackend(agent), { agent });
}
const start = (more: Partial<TestAgent> = {}) => startOn(memoryKernel(), more);
const deviceOf = (name: string, { uid, netns, ifname } = POD): string =>
  podDevice({ namespace: "ns", name, uid, netns, ifname }).device;
/** A source with these objects. */
const source = (objects: readonly ManifestObject[], troubles: () => Trouble[] = () => []): ManifestWatch => ({
  synced: Promise.resolve(),
  size: objects.length,
  snapshot: () => ({ objects, problems: troubles() }),
  object: (key) => objects.find((one) => objectKey(one.kind, one.metadata) === key),
  problems: troubles,
  troubles,
  close: async () => {},
});

test("attaching a pod returns once a pass has put its network in force", async () => {
  const backend = start();
  expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true, endpoint: { ips: ["10.244.1.2"] } });
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null, pods: 1 });
});

test("a pass that throws is reported as a failure in the status", async () => {
  const backend = start();
  vi.spyOn(backend.agent.parts.datapath, "apply").mockImplementation(() => {
    throw new Error("list devices: ENOBUFS");
  });
  await expect(backend.putEndpoint("ns", "a", POD)).rejects.toMatchObject({
    code: "unavailable",
    message: "give ns/a a network: list devices: ENOBUFS",
  });
  expect(await backend.status()).toMatchObject({ reason: "list devices: ENOBUFS" });
  expect(await backend.problems()).toEqual([{ object: "agent", message: "list devices: ENOBUFS" }]);
  expect(await backend.endpoints()).toEqual([]);
});

test("a degraded item is a problem, and the agent stays ready", async () => {
  const kernel = memoryKernel();
  kernel.network.steer = () => "EROFS";
  const backend = startOn(kernel, { node: { ...NODE, fq: true } });
  await backend.putEndpoint("ns", "a", POD);
  const message = "packets of a flow may overtake each other: EROFS";
  const problems = [{ object: "Node/n1", message, severity: "warning" }];
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null, problems, observed: { failed: 0 } });
  expect(await backend.problems()).toEqual(problems);
});

describe("attaching a pod fails if its network is not in force", () => {
  const refusing = (what: string) => () => {
    const kernel = memoryKernel();
    kernel.refuses = (one) => one === what;
    return kernel;
  };
  /** A table that refuses rows whose key, as JSON, contains this text. */
  const notFitting = (name: string, part: string) => () => {
    const kernel = memoryKernel();
    const codec = jsonCodec();
    const encode: typeof codec.encode = (fields) => {
      if (JSON.stringify(fields).includes(part)) throw new KernelError("encode row", { code: "codec-value" });
      return codec.encode(fields);
    };
    kernel.tables.set(name, new MemoryTable(name, { ...codec, encode }, jsonCodec()));
    return kernel;
  };
  const device = deviceOf("a");
  /** The size of the table with the node's own rows only: its address, its gateway, and the link-local address. */
  const FULL = { weir_rt_hosts: 3 };
  const cases: [string, () => Memory, string, RegExp][] = [
    ["the panel", refusing("commit"), "unavailable", /^panel: commit/],
    ["its device", refusing(`make ${device}`), "refused", /^make weir[0-9a-f]{11}/],
    ["its program", refusing(`attach ${device}`), "refused", /^attach weir[0-9a-f]{11}/],
    ["a table that is full", () => memoryKernel(FULL), "unavailable", /^write row of weir_rt_hosts .*the map is full/],
    [
      "a row that does not fit",
      notFitting("weir_rt_hosts", '"0":10,"1":244,"2":1,"3":2'),
      "refused",
      /^encode row of weir_rt_hosts /,
    ],
  ];
  test.each(cases)("%s", async (_name, kernelOf, code, message) => {
    const backend = startOn(kernelOf());
    const fault = await backend.putEndpoint("ns", "a", POD).catch((error: ApiError) => error);
    expect(fault).toBeInstanceOf(ApiError);
    const { code: told, message: text } = fault as ApiError;
    const what = "give ns/a a network: ";
    expect([told, text.slice(0, what.length)]).toEqual([code, what]);
    expect(text.slice(what.length)).toMatch(message);
    expect(await backend.endpoints()).toEqual([]);
  });

  test("not because of a failure of other pods' rows", async () => {
    const backend = startOn(notFitting("weir_rt_hosts", '"0":192,"1":0,"2":2,"3":1')());
    expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true });
    expect(await backend.status()).toMatchObject({ state: "degraded" });
  });

  test("also when it is attached again: the new failure is returned, and the attachment is kept", async () => {
    const kernel = memoryKernel();
    const backend = startOn(kernel);
    await backend.putEndpoint("ns", "a", POD);
    kernel.refuses = (what) => what === "commit";
    await expect(backend.putEndpoint("ns", "b", { ...POD, uid: "u2" })).rejects.toMatchObject({ code: "unavailable" });
    await expect(backend.putEndpoint("ns", "a", POD)).rejects.toMatchObject({ code: "unavailable" });
    expect(await backend.endpoints()).toMatchObject([{ name: "a" }]);
  });

  test("also if the agent stops meanwhile", async () => {
    const backend = start();
    const call = backend.putEndpoint("ns", "a", POD);
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("is stopping") });
  });
});

test("a late delete of an old sandbox does not remove its successor's network", async () => {
  const backend = start();
  await backend.putEndpoint("ns", "a", { ...POD, sandbox: "s1" });
  await backend.putEndpoint("ns", "a", { ...POD, netns: "/run/netns/b", sandbox: "s2" });
  for (const which of [{ sandbox: "s1" }, { netns: POD.netns }, { uid: "u0" }]) {
    await backend.deleteEndpoint("ns", "a", which);
    expect(await backend.endpoints()).toMatchObject([{ netns: "/run/netns/b", sandbox: "s2" }]);
  }
  await backend.deleteEndpoint("ns", "a", { sandbox: "s2" });
  expect(await backend.endpoints()).toEqual([]);
});

test("detaching a pod fails if its network could not be removed", async () => {
  const kernel = memoryKernel();
  const backend = startOn(kernel);
  await backend.putEndpoint("ns", "a", POD);
  kernel.refuses = (what) => what === "commit";
  await expect(backend.deleteEndpoint("ns", "a", {})).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/^take the network of ns\/a away: panel: commit/),
  });
});

test("another pod's failure does not affect this one", async () => {
  const kernel = memoryKernel();
  const backend = startOn(kernel);
  const other = { ...POD, uid: "u2", netns: "/run/netns/b" };
  await backend.putEndpoint("ns", "b", other);
  const lost = kernel.network.device(deviceOf("b", other)) ?? expect.fail();
  kernel.network.remove(lost.name);
  kernel.refuses = (what) => what === `make ${lost.name}`;
  backend.agent.noticed({ kind: "link", device: lost, gone: true });
  expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true });
  const reason = expect.stringMatching(/^Pod\/ns\/b: make weir[0-9a-f]{11}/);
  expect(await backend.status()).toMatchObject({ state: "degraded", reason });
  const message = expect.stringMatching(/^make weir[0-9a-f]{11}/);
  expect(await backend.problems()).toEqual([{ object: "Pod/ns/b", message }]);
});

test("a source that fails for a minute makes the agent degraded until it is back", async () => {
  let troubles: Trouble[] = [];
  const backend = start({ manifests: source([], () => troubles) });
  await backend.putEndpoint("ns", "a", POD);
  const refused = (seconds: number | undefined): void => {
    const staleSince = seconds === undefined ? undefined : Date.now() - seconds * 1000;
    troubles = [{ object: "https://api/pods", message: "GET /api/v1/pods: 401 Unauthorized", staleSince }];
  };
  refused(30);
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null });
  refused(61);
  const reason = expect.stringMatching(/^GET \/api\/v1\/pods: 401 Unauthorized \(since 20.*Z\)$/);
  expect(await backend.status()).toMatchObject({ state: "degraded", reason });
  refused(undefined); // the source has a trouble that does not make its objects stale
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null });
  troubles = [];
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null });
});

test.each([
  ["/proc/self/ns/net", "is the node's own namespace"],
  ["/etc/passwd", "is no network namespace"],
  ["/", "is no network namespace"],
  [`/${"a".repeat(5000)}`, "cannot be looked at: ENAMETOOLONG"],
])("a path that is not a pod's network namespace is invalid input: %.20s", async (netns, why) => {
  const backend = start();
  const call = backend.putEndpoint("ns", "a", { ...POD, netns });
  const message = `give ns/a a network: ${netns} ${why}`;
  await expect(call).rejects.toMatchObject({ code: "invalid", path: "netns", message });
  expect(await backend.endpoints()).toEqual([]);
});

test("if all addresses are in use, the call fails as unavailable", async () => {
  const backend = start({ podCIDRs: ["10.244.1.0/30"] });
  await backend.putEndpoint("ns", "a", POD);
  const call = backend.putEndpoint("ns", "b", { ...POD, uid: "u2" });
  await expect(call).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("are taken") });
});

test("applied objects are validated, stored, and in the state after a pass", async () => {
  const backend = start();
  const pod = (bandwidth: string) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", namespace: "ns", annotations: { bandwidth } },
    spec: { nodeName: "n1", containers: [{ name: "c", image: "x" }] },
  });
  await expect(backend.putObjects([pod("1 mbps egress"), { kind: "Pod" }], { dryRun: false })).rejects.toMatchObject({
    code: "invalid",
    path: "items[1].apiVersion",
  });
  expect(await backend.putObjects([pod("1 mbps egress")], { dryRun: true })).toMatchObject([{ action: "created" }]);
  expect(await backend.pods()).toEqual([]);
  expect(await backend.putObjects([pod("fast")], { dryRun: false })).toMatchObject([
    { kind: "Pod", namespace: "ns", name: "a", action: "created", problems: [{ object: "Pod/ns/a" }] },
  ]);
  expect(await backend.pods()).toMatchObject([{ namespace: "ns", name: "a" }]);
  expect(await backend.objects()).toMatchObject([{ kind: "Pod", namespace: "ns", name: "a" }]);
  await backend.deleteObject({ kind: "Pod", namespace: "ns", name: "a" });
  await backend.deleteObject({ kind: "Pod", namespace: "ns", name: "a" });
  expect(await backend.pods()).toEqual([]);
});

const POD_OBJECT = (bandwidth: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "ns", uid: "u1", annotations: { bandwidth } },
  spec: { nodeName: "n1", containers: [{ name: "c", image: "x" }] },
});

test("an applied object that is in the watched source too has the watched source's content", async () => {
  const { objects } = parseManifests(JSON.stringify(POD_OBJECT("1 mbps egress")), "x.json");
  const backend = start({ manifests: source(objects.map(({ object }) => object)) });
  const problem = {
    object: "Pod/ns/a",
    severity: "warning",
    message: expect.stringContaining("which takes precedence"),
  };
  expect(await backend.putObjects([POD_OBJECT("2 mbps egress")], { dryRun: false })).toMatchObject([
    { action: "created", problems: [problem] },
  ]);
  expect(await backend.limits()).toMatchObject([{ configured: 1e6 }]);
});

test("a dry run changes nothing, including the last valid rules", async () => {
  const backend = start();
  await backend.putObjects([POD_OBJECT("1 mbps egress")], { dryRun: false });
  await backend.putObjects([POD_OBJECT("fast")], { dryRun: false });
  const rates = () => backend.agent.planner.rules.limits.get("ns/a")?.rules.map(({ rate }) => rate);
  expect(rates()).toEqual([1e6]);
  await backend.putObjects([POD_OBJECT("5 mbps egress")], { dryRun: true });
  expect(rates()).toEqual([1e6]);
  backend.agent.changed(["Pod/ns/a"]);
  await backend.agent.runner.settled(false);
  expect(rates()).toEqual([1e6]);
});

test("an Impairment is over by the node's clock, also when that is set ahead or back", async () => {
  const backend = start();
  await backend.putEndpoint("ns", "a", POD);
  const begin = Date.now();
  const clock = vi.spyOn(Date, "now");
  onTestFinished(() => clock.mockRestore());
  const impairment = (name: string, more: object) => ({
    ...{ apiVersion: "weir.dev/v1alpha1", kind: "Impairment", metadata: { name, namespace: "ns" } },
    spec: { pod: "a", loss: "5%", ...more },
  });
  const until = new Date(begin + 3_600_000).toISOString();
  const objects = [POD_OBJECT("1 mbps egress"), impairment("brief", { until }), impairment("lasting", {})];
  await backend.putObjects(objects, { dryRun: false });
  const overruled = () => {
    const { overruled = [] } = backend.agent.planner.rules.impairments.get("ns/a") ?? {};
    return new Set(overruled.map(({ rule }) => rule.source));
  };
  const BRIEF = new Set(["Impairment/ns/lasting"]);
  await expect.poll(overruled).toEqual(BRIEF);
  clock.mockReturnValue(begin + 7_200_000);
  await expect.poll(overruled).toEqual(new Set());
  clock.mockReturnValue(begin);
  backend.agent.runner.mark();
  await expect.poll(overruled).toEqual(BRIEF);
});

test("a pod whose rows cannot be planned does not keep others from their network", async () => {
  const backend = start();
  const { endpoint } = await backend.putEndpoint("ns", "a", POD);
  const { attachments } = backend.agent.planner.cluster;
  const attachment = attachments.get("ns/a") as PodAttachment;
  attachments.set("ns/bad", { ...attachment, name: "bad", device: "weir00000000001", ips: ["nowhere"] });
  expect(await backend.putEndpoint("ns", "b", { ...POD, uid: "u2" })).toMatchObject({ created: true });
  const message = 'plan rows of Pod/ns/bad: read address "nowhere": not an IP address';
  expect(await backend.problems()).toEqual([{ object: "Pod/ns/bad", message }]);
  expect(endpoint.ips).toEqual(["10.244.1.2"]);
});
