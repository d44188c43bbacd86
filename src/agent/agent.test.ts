import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Datapath } from "../datapath/datapath.ts";
import type { Failure } from "../datapath/failure.ts";
import type { Builder } from "../datapath/programs/builder.ts";
import type { DesiredState, Row } from "../model/desired.ts";
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

interface Fakes {
  podCIDRs?: readonly string[];
  /** Does the kernel hold this row? */
  holds?: (row: Row) => boolean;
  manifests?: ManifestWatch;
  warnings?: readonly Failure[];
}

/** An agent whose kernel does what `apply` says. */
function agentOn(
  apply: (desired: DesiredState) => Failure[],
  { podCIDRs = NODE.podCIDRs, holds = () => true, manifests, warnings = [] }: Fakes = {},
): AgentBackend {
  const devices = new Set<string>();
  const datapath = {
    apply: (desired: DesiredState) => {
      const failures = apply(desired);
      const wanted = new Set(desired.links.map(({ device }) => device));
      for (const device of wanted) devices.add(device);
      const stuck = failures.some(({ object }) => object === "panel"); // then nothing is pruned
      for (const device of devices) if (!wanted.has(device) && !stuck) devices.delete(device);
      return { failures, writes: 0 };
    },
    warnings,
    forget: () => {},
    lacking: (rows: readonly Row[]) => rows.find((row) => !holds(row)),
    devices: { ifindex: (device: string) => (devices.has(device) ? 1 : undefined), doubt: () => {} },
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
  await expect(backend.putEndpoint("ns", "a", POD)).rejects.toMatchObject({
    code: "unavailable",
    message: "give ns/a a network: list devices: ENOBUFS",
  });
  expect(await backend.status()).toMatchObject({ reason: "list devices: ENOBUFS" });
  expect(await backend.problems()).toEqual([{ object: "agent", message: "list devices: ENOBUFS" }]);
  expect(await backend.endpoints()).toEqual([]);
});

test("what is not as good as it should be is a problem, and leaves the agent ready", async () => {
  const warning = { object: "device weir_shape1", message: "packets of a flow may overtake each other: EROFS" };
  const backend = agentOn(() => [], { warnings: [warning] });
  await backend.putEndpoint("ns", "a", POD);
  const problems = [{ ...warning, severity: "warning" }];
  expect(await backend.status()).toMatchObject({ state: "ready", reason: null, problems, observed: { failed: 0 } });
  expect(await backend.problems()).toEqual(problems);
});

describe("no pod is told that it has a network that is not in force", () => {
  const FULL = "write 3 rows of weir_rt_hosts: E2BIG";
  const isHost = ({ table }: Row) => table === "weir_rt_hosts";
  const cases: [string, (desired: DesiredState) => Failure[], (row: Row) => boolean, string, string][] = [
    ["the panel", () => [{ object: "panel", message: "EPERM" }], () => true, "unavailable", "EPERM"],
    [
      "its device",
      ({ links }) =>
        links.flatMap(({ kind, device }) =>
          kind === "pod" ? [{ object: `device ${device}`, message: "ENOENT" }] : [],
        ),
      () => true,
      "refused",
      "ENOENT",
    ],
    [
      "its port",
      ({ ports }) => ports.map(({ name }) => ({ object: `port router:${name}`, message: "no instance" })),
      () => true,
      "refused",
      "no instance",
    ],
    [
      "a table that is full",
      () => [{ object: "table weir_rt_hosts", message: FULL }],
      (row) => !isHost(row),
      "unavailable",
      FULL,
    ],
    [
      "a row of which nothing is said",
      () => [],
      (row) => row.table !== "weir_rt_ports",
      "unavailable",
      "table weir_rt_ports does not hold its row",
    ],
  ];
  test.each(cases)("%s", async (_name, apply, holds, code, message) => {
    const backend = agentOn(apply, { holds });
    const call = backend.putEndpoint("ns", "a", POD);
    await expect(call).rejects.toMatchObject({ code, message: `give ns/a a network: ${message}` });
    expect(await backend.endpoints()).toEqual([]);
  });

  test("a table that failed at others' rows is none of its business", async () => {
    const backend = agentOn(() => [{ object: "table weir_rt_hosts", message: FULL }]);
    expect(await backend.putEndpoint("ns", "a", POD)).toMatchObject({ created: true });
  });

  test("nor once it had it: asked for again, it is told what fails now, and keeps its place", async () => {
    let failures: Failure[] = [];
    const backend = agentOn(() => failures);
    await backend.putEndpoint("ns", "a", POD);
    failures = [{ object: "panel", message: "EPERM" }];
    await expect(backend.putEndpoint("ns", "a", POD)).rejects.toMatchObject({ code: "unavailable" });
    expect(await backend.endpoints()).toHaveLength(1);
  });

  test("nor by an agent that stops meanwhile", async () => {
    const backend = agentOn(() => []);
    const call = backend.putEndpoint("ns", "a", POD);
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("is stopping") });
  });
});

test("a late call about an old sandbox leaves its successor's network", async () => {
  const backend = agentOn(() => []);
  await backend.putEndpoint("ns", "a", { ...POD, sandbox: "s1" });
  await backend.putEndpoint("ns", "a", { ...POD, netns: "/run/netns/b", sandbox: "s2" });
  for (const which of [{ sandbox: "s1" }, { netns: POD.netns }, { uid: "u0" }]) {
    await backend.deleteEndpoint("ns", "a", which);
    expect(await backend.endpoints()).toMatchObject([{ netns: "/run/netns/b", sandbox: "s2" }]);
  }
  await backend.deleteEndpoint("ns", "a", { sandbox: "s2" });
  expect(await backend.endpoints()).toEqual([]);
});

test("a network that could not be taken away is not said to be gone", async () => {
  let failures: Failure[] = [];
  const backend = agentOn(() => failures);
  await backend.putEndpoint("ns", "a", POD);
  failures = [{ object: "panel", message: "EPERM" }];
  await expect(backend.deleteEndpoint("ns", "a", {})).rejects.toMatchObject({
    code: "unavailable",
    message: "take the network of ns/a away: EPERM",
  });
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
  const backend = agentOn(() => [], { manifests: source });
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

test.each([
  ["/proc/self/ns/net", "is the node's own namespace"],
  ["/etc/passwd", "is no network namespace"],
  ["/", "is no network namespace"],
  [`/${"a".repeat(5000)}`, "cannot be looked at: ENAMETOOLONG"],
])("a path that is no pod's namespace is the caller's mistake: %.20s", async (netns, why) => {
  const backend = agentOn(() => []);
  const call = backend.putEndpoint("ns", "a", { ...POD, netns });
  const message = `give ns/a a network: ${netns} ${why}`;
  await expect(call).rejects.toMatchObject({ code: "invalid", path: "netns", message });
  expect(await backend.endpoints()).toEqual([]);
});

test("when all addresses are taken, one may be free later", async () => {
  const backend = agentOn(() => [], { podCIDRs: ["10.244.1.0/30"] });
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
