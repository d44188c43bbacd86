import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MemoryTable } from "../datapath/tables.ts";
import { jsonCodec, type Memory } from "../datapath/testing/memory.ts";
import { KernelError, type NetworkNews } from "../kernel/index.ts";
import { podDevice } from "../model/ipam.ts";
import { AgentBackend } from "./backend.ts";
import { PATIENCE, reasonOf } from "./readiness.ts";
import { agentOn, memoryKernel } from "./testing/agent.ts";

let folder: string;
let stop: AbortController;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-ready-"));
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const NODE = {
  ...{ name: "n1", overlay: "vxlan" as const, addresses: ["192.0.2.1"], podCIDRs: ["10.244.1.0/24"] },
  ...{ uplink: "lo", mtu: 1450, vxlan: { port: 4789, vni: 1 } },
};
const POD = { uid: "u1", netns: "/run/netns/a", ifname: "eth0" };
const POD_DEVICE = podDevice({ namespace: "ns", name: "a", ...POD }).device;

/** An agent on this kernel after its first pass with pod a, and what its status says of readiness. */
async function startOn(kernel: Memory, limit?: string) {
  const agent = agentOn({ node: NODE, folder, kernel, signal: stop.signal });
  const backend = new AgentBackend(agent);
  agent.start();
  await backend.putEndpoint("ns", "a", POD);
  const annotations = limit === undefined ? {} : { bandwidth: limit };
  const metadata = { name: "a", namespace: "ns", uid: "u1", annotations };
  const spec = { nodeName: "n1", containers: [{ name: "c", image: "x" }] };
  await backend.putObjects([{ apiVersion: "v1", kind: "Pod", metadata, spec }], { dryRun: false });
  const told = async () => {
    const { state, reason, observed } = await backend.status();
    return { state, reason, pending: observed.pending, failed: observed.failed };
  };
  return { agent, backend, told };
}
const READY = { state: "ready", reason: null, pending: 0, failed: 0 };

test("what the kernel refuses of one object keeps the node from being ready while it is new, and then is the object's", async () => {
  const kernel = memoryKernel();
  kernel.tables.set("weir_limits", new MemoryTable("weir_limits", jsonCodec(), jsonCodec(), 0));
  const { agent, backend, told } = await startOn(kernel, "1 mbps egress");
  const message = expect.stringContaining("the map is full");
  const reason = expect.stringMatching(/^Pod\/ns\/a: write row of weir_limits .*the map is full/);
  expect(await told()).toEqual({ state: "degraded", reason, pending: 1, failed: 1 });
  kernel.now += PATIENCE - 1;
  expect(await told()).toMatchObject({ state: "degraded" });
  kernel.now++;
  expect(await told()).toEqual({ ...READY, failed: 1 });
  expect(await backend.problems()).toEqual([{ object: "Pod/ns/a", message }]);
  expect(await backend.limits()).toMatchObject([{ effective: null, reason: message }]);
  (kernel.table("weir_limits") as MemoryTable).maxEntries = 10;
  await agent.runner.settled();
  expect(await told()).toEqual(READY);
});

test("what only a change of its object ends leaves the node ready", async () => {
  const kernel = memoryKernel();
  const codec = jsonCodec();
  const encode = () => {
    throw new KernelError("encode row", { code: "codec-value" });
  };
  kernel.tables.set("weir_limits", new MemoryTable("weir_limits", jsonCodec(), { ...codec, encode }));
  const { backend, told } = await startOn(kernel, "1 mbps egress");
  expect(await told()).toEqual({ ...READY, failed: 1 });
  expect(await backend.problems()).toMatchObject([{ object: "Pod/ns/a" }]);
});

test("failures of the node's own items degrade the node as long as they last, and no pod is refused for them", async () => {
  const kernel = memoryKernel();
  kernel.refuses = (what) => what === "make weir_split0";
  const { agent, backend, told } = await startOn(kernel);
  const message = expect.stringMatching(/^make weir_split0: EPERM/);
  for (const age of [0, PATIENCE, 100 * PATIENCE]) {
    kernel.now += age;
    await agent.runner.settled(false);
    expect(await told()).toMatchObject({ state: "degraded", reason: message });
  }
  expect(await backend.problems()).toEqual([{ object: "Node/n1", message }]);
  expect(await backend.pods()).toMatchObject([{ name: "a", device: POD_DEVICE }]);
  kernel.refuses = () => false;
  kernel.now += PATIENCE;
  await agent.runner.settled();
  expect(await told()).toEqual(READY);
});

test.each<readonly [string, string, string, (kernel: Memory) => NetworkNews]>([
  [
    "a pod's device",
    "Pod/ns/a: ",
    `device ${POD_DEVICE} was removed`,
    ({ network }) => {
      const device = network.device(POD_DEVICE) ?? expect.fail();
      network.lose(POD_DEVICE);
      return { kind: "link", device, gone: true };
    },
  ],
  [
    "a device of the node's, set down",
    "",
    "device weir_host was set down",
    ({ network }) => {
      const device = { ...(network.device("weir_host") ?? expect.fail()), up: false };
      network.byName.set("weir_host", device);
      return { kind: "link", device, gone: false };
    },
  ],
  [
    "a route",
    "",
    "route 10.244.1.0/24 was removed",
    ({ network }) => {
      const route = network.byCidr.get("10.244.1.0/24") ?? expect.fail();
      network.byCidr.clear();
      return { kind: "route", route, gone: true };
    },
  ],
  [
    "queues of limits",
    "",
    "queues of device weir_shape0 were removed",
    ({ network }) => ({ kind: "qdisc", ifindex: network.device("weir_shape0")?.ifindex ?? 0 }),
  ],
])("the node is not ready while this is removed, and says so: %s", async (_, of, message, remove) => {
  const kernel = memoryKernel();
  const { agent, backend, told } = await startOn(kernel);
  expect(await told()).toEqual(READY);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  agent.noticed(remove(kernel));
  expect(await told()).toEqual({ state: "degraded", reason: `${of}${message}`, pending: 1, failed: 1 });
  expect((await backend.problems()).map((problem) => problem.message)).toEqual([message]);
  vi.advanceTimersByTime(900);
  await agent.runner.settled();
  expect(await told()).toEqual(READY);
});

test("changes without a notification are repaired within a minute: changed, unknown and removed rows", async () => {
  const kernel = memoryKernel();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { told } = await startOn(kernel, "1 mbps egress");
  const { tables } = kernel;
  const held = () => [...tables].map(([name, table]) => [name, table.digest()]);
  const before = held();
  for (const name of ["weir_rt_hosts", "weir_limits", "weir_names"]) {
    const table = kernel.table(name);
    const [[key] = expect.fail()] = table.entries();
    table.remove([key]);
  }
  const hosts = kernel.table("weir_rt_hosts");
  hosts.write([[hosts.key.encode({ stranger: 1 }), hosts.value.encode({ port: 1 })]]);
  kernel.attacher.attached.delete(POD_DEVICE);
  expect(held()).not.toEqual(before);
  for (let second = 0; second < 60; second++) await vi.advanceTimersByTimeAsync(1000);
  expect(held().map(([name, rows]) => [name, new Set(rows?.split(","))])).toEqual(
    before.map(([name, rows]) => [name, new Set(rows?.split(","))]),
  );
  expect(kernel.attacher.attached.has(POD_DEVICE)).toBe(true);
  expect(await told()).toEqual(READY);
});

test("news of changes that are over, as of a device before it was brought up, are no loss", async () => {
  const kernel = memoryKernel();
  const { agent, told } = await startOn(kernel);
  const device = kernel.network.device(POD_DEVICE) ?? expect.fail();
  agent.noticed({ kind: "link", device: { ...device, up: false, mtu: 1500 }, gone: false });
  agent.noticed({ kind: "link", device: { ...device, carrierChanges: device.carrierChanges + 2 }, gone: false });
  agent.noticed({ kind: "lost" });
  expect(await told()).toEqual(READY);
});

test.each([
  [[], undefined],
  [[["Node/n1", "no device eth0"]], "no device eth0"],
  [[["agent", "list devices: ENOBUFS"]], "list devices: ENOBUFS"],
  [
    [
      ["Pod/a/b", "x"],
      ["Pod/a/c", "y"],
      ["Node/n1", "z"],
    ],
    "Pod/a/b: x (and 2 more)",
  ],
  [[["Node/n2", "route"]], "Node/n2: route"],
] as [string[][], string | undefined][])("the reason of %j", (problems, reason) => {
  expect(
    reasonOf(
      problems.map(([object = "", message = ""]) => ({ object, message })),
      "Node/n1",
    ),
  ).toBe(reason);
});
