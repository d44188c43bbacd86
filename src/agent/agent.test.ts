import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Datapath } from "../datapath/datapath.ts";
import type { Failure } from "../datapath/failure.ts";
import type { Builder } from "../datapath/programs/builder.ts";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { AppliedStore } from "../sources/applied.ts";
import { openEndpoints } from "../sources/endpoints.ts";
import { LastGoodFile } from "../sources/last-good.ts";
import type { ManifestWatch, Trouble } from "../sources/manifests/index.ts";
import { Agent } from "./agent.ts";
import { AgentBackend } from "./backend.ts";
import { createLogger } from "./log.ts";
import { Programs } from "./programs.ts";

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

/** An agent whose kernel does what `apply` says. */
function agentOn(
  apply: () => Failure[],
  podCIDRs: readonly string[] = NODE.podCIDRs,
  manifests?: ManifestWatch,
): AgentBackend {
  const devices = { ifindex: () => 1 };
  const datapath = {
    apply: () => ({ failures: apply(), writes: 0 }),
    forget: () => {},
    devices,
    leases: { interval: undefined, renew: () => {} },
    panel: { abi: 1 },
  };
  const agent = new Agent({
    node: NODE,
    settings: DEFAULT_RULE_SETTINGS,
    manifests,
    endpoints: openEndpoints({ folder, podCIDRs }),
    lastGood: new LastGoodFile(folder),
    applied: new AppliedStore(folder),
    datapath: datapath as unknown as Datapath,
    programs: new Programs({ folder: undefined, builder: {} as Builder, held: [], onChange: () => {} }),
    log: createLogger("silent", "n1"),
    signal: stop.signal,
  });
  agent.synced = true;
  return new AgentBackend(agent);
}

test("a pod's network is there once a pass has made it", async () => {
  const backend = agentOn(() => []);
  expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true, endpoint: { ips: ["10.244.1.2"] } });
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null, pods: 1 });
});

test("a pass that breaks off is no success, and the status says why", async () => {
  const backend = agentOn(() => {
    throw new Error("list devices: ENOBUFS");
  });
  await expect(backend.putEndpoint("ns", "a", POD)).rejects.toThrow("give ns/a a network: list devices: ENOBUFS");
  expect(await backend.status()).toMatchObject({ reason: "list devices: ENOBUFS" });
  expect(await backend.problems()).toEqual([{ object: "agent", message: "list devices: ENOBUFS" }]);
  expect(await backend.endpoints()).toEqual([]);
});

test("a failure of the panel is one of every new pod", async () => {
  const backend = agentOn(() => [{ object: "panel", message: "EPERM" }]);
  await expect(backend.putEndpoint("ns", "a", POD)).rejects.toThrow("give ns/a a network: EPERM");
});

test("another pod's failure is none of this one's", async () => {
  const backend = agentOn(() => [{ object: "device weir00000000000", message: "EPERM" }]);
  expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true });
  expect(await backend.status()).toMatchObject({ state: "degraded", reason: "EPERM" });
});

test("a source that is refused for a minute makes it degraded, until the source is back", async () => {
  let troubles: Trouble[] = [];
  const source: ManifestWatch = {
    synced: Promise.resolve(),
    snapshot: () => ({ objects: [], problems: troubles }),
    troubles: () => troubles,
    close: async () => {},
  };
  const backend = agentOn(() => [], NODE.podCIDRs, source);
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
  refused(undefined); // hindered, but what it tells is of now
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null });
  troubles = [];
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null });
});

test("the node's own namespace is no pod's", async () => {
  const backend = agentOn(() => []);
  const call = backend.putEndpoint("ns", "a", { ...POD, netns: "/proc/self/ns/net" });
  await expect(call).rejects.toMatchObject({ code: "invalid", path: "netns" });
  expect(await backend.endpoints()).toEqual([]);
});

test("when all addresses are taken, one may be free later", async () => {
  const backend = agentOn(() => [], ["10.244.1.0/30"]);
  await backend.putEndpoint("ns", "a", POD);
  const call = backend.putEndpoint("ns", "b", { ...POD, uid: "u2" });
  await expect(call).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("are taken") });
});

test("objects are judged, kept, and in the state once a pass has seen them", async () => {
  const backend = agentOn(() => []);
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
