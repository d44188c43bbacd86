import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PodRunner } from "../handout.ts";
import { labNames, nodeNames } from "../names.ts";
import type { PodWorker } from "../pod.ts";
import type { BoundPod } from "../pod-host.ts";
import type { PodStatus } from "../status.ts";
import { paths } from "./api.ts";
import { removeNodes } from "./nodes.ts";
import { ApiSource } from "./source.ts";
import { FakeApi } from "./testing/fake-api.ts";

const eventually = <T>(check: () => T): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

const tolerations = [{ key: "weir.dev/lab", operator: "Exists" }];
const pod = (name: string, spec: object = {}, annotations: Record<string, string> = {}) => ({
  metadata: { namespace: "default", name, annotations },
  spec: { containers: [{ name: "c", image: "x", command: ["sleep"] }], tolerations, ...spec },
});
const at = (name: string) => paths.pod("default", name);

/** A kubelet whose pods run at once. */
class FakeKubelet implements PodRunner {
  readonly pods = new Map<string, BoundPod>();
  readonly log: string[] = [];
  create(one: BoundPod): void {
    this.pods.set(`${one.pod.metadata.namespace}/${one.pod.metadata.name}`, one);
    this.log.push(`create ${one.pod.metadata.name} on ${one.node}`);
  }
  update(one: BoundPod): void {
    this.create(one);
  }
  async remove(one: BoundPod, grace?: number): Promise<PodStatus | undefined> {
    this.log.push(`remove ${one.pod.metadata.name} in ${grace}`);
    this.pods.delete(`${one.pod.metadata.namespace}/${one.pod.metadata.name}`);
    return undefined;
  }
  worker(key: string): PodWorker | undefined {
    const one = this.pods.get(key);
    if (one === undefined) return undefined;
    const { namespace, name } = one.pod.metadata;
    const ran = { exitCode: null, reason: null, failure: null, startedAt: "2026-01-01T00:00:00.5Z", finishedAt: null };
    const container = { name: "c", state: "running", pid: 1, restarts: 0, over: false, log: "/l", ...ran };
    const shown = { uid: one.uid, node: one.node, phase: "Running", ips: ["10.244.1.2"], message: null };
    return { status: { namespace, name, ...shown, containers: [container] } } as unknown as PodWorker;
  }
}

let api: FakeApi;
let kubelet: FakeKubelet;
let source: ApiSource;
let root: string;
const lab = () => labNames("blue", root);
const nodes = () => [1, 2].map((index) => nodeNames(lab(), index, "blue-"));

function make(): ApiSource {
  const health = async () => ({ ready: true, message: "the agent is ready" });
  const rest = {
    version: "0",
    health,
    agents: new Map(),
    hasImage: () => false,
    now: () => Date.parse("2026-01-01T00:00:00Z"),
  };
  return new ApiSource({ api, lab: lab(), nodes: nodes(), kubelet, ...rest });
}
const writes = (method: string, path: string) => api.calls.filter((one) => one.method === method && one.path === path);

beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/weir-kube-`);
  api = new FakeApi();
  kubelet = new FakeKubelet();
  source = make();
});
afterEach(async () => {
  await source.close();
  rmSync(root, { recursive: true, force: true });
});

describe("nodes", () => {
  it("are registered with a taint and both families, become ready, and are removed with their pods", async () => {
    await source.open();
    const node = () => api.objects.get(paths.node("blue-node-2"));
    expect(node()).toMatchObject({
      metadata: {
        labels: { "weir.dev/lab": "blue", "kubernetes.io/hostname": "blue-node-2", "kubernetes.io/os": "linux" },
      },
      spec: {
        podCIDRs: ["10.244.2.0/24", "fd00:10:244:2::/64"],
        taints: [{ key: "weir.dev/lab", value: "blue", effect: "NoSchedule" }],
      },
      status: {
        addresses: [
          { type: "InternalIP", address: "172.30.0.2" },
          { type: "InternalIP", address: "fd00:172:30::2" },
          { type: "Hostname", address: "blue-node-2" },
        ],
        conditions: [{ type: "Ready", status: "False" }],
      },
    });
    await source.agentsReady();
    expect(node()).toMatchObject({ status: { conditions: [{ type: "Ready", status: "True" }] } });
    expect(api.objects.get(paths.lease("blue-node-2"))).toMatchObject({
      spec: { holderIdentity: "blue-node-2", renewTime: "2026-01-01T00:00:00.000000Z" },
    });
    api.put(at("mine"), pod("mine", { nodeName: "blue-node-1" }));
    api.put(at("other"), pod("other", { nodeName: "real" }));
    await removeNodes(api, "blue", nodes());
    expect([...api.objects.keys()]).toEqual([at("other")]);
  });

  it("of others are refused and not changed", async () => {
    api.put(paths.node("blue-node-2"), { metadata: { name: "blue-node-2" } });
    await expect(source.open()).rejects.toThrow(
      /register node blue-node-2: it exists and has no label weir.dev\/lab=blue/,
    );
    expect(api.objects.has(paths.node("blue-node-1"))).toBe(false);
    await removeNodes(api, "blue", nodes());
    expect(api.objects.has(paths.node("blue-node-2"))).toBe(true);
  });
});

describe("pods", () => {
  it("that tolerate the taint are bound, run and reported; others are not touched", async () => {
    api.put(at("a"), pod("a"));
    api.put(at("b"), pod("b"));
    api.put(at("shy"), pod("shy", { tolerations: [] }));
    api.put(at("real"), pod("real", { nodeName: "real-node" }));
    await source.open();
    await eventually(() => expect(kubelet.log).toEqual(["create a on blue-node-1", "create b on blue-node-2"]));
    await eventually(() =>
      expect(api.objects.get(at("a"))).toMatchObject({
        status: { phase: "Running", podIP: "10.244.1.2", hostIP: "172.30.0.1" },
      }),
    );
    expect(api.calls.filter(({ path }) => path.includes("shy") || path.includes("/real"))).toEqual([]);
    const sent = writes("PATCH", `${at("a")}/status`).length;
    api.notify();
    await new Promise(setImmediate);
    expect(writes("PATCH", `${at("a")}/status`)).toHaveLength(sent);
  });

  it("are updated in place when annotations change; a change of the status changes nothing", async () => {
    api.put(at("a"), pod("a", { nodeName: "blue-node-1" }));
    await source.open();
    api.put(at("a"), { metadata: { annotations: { bandwidth: "1M" } } });
    const version = api.objects.get(at("a"))?.metadata.resourceVersion;
    await eventually(() =>
      expect(kubelet.pods.get("default/a")?.pod.metadata.annotations).toEqual({ bandwidth: "1M" }),
    );
    expect(kubelet.pods.get("default/a")?.resourceVersion).toBe(version);
    const [file = ""] = readdirSync(lab().cluster).filter((name) => name.startsWith("pod-"));
    expect(JSON.parse(readFileSync(`${lab().cluster}/${file}`, "utf8"))).toMatchObject({
      metadata: { resourceVersion: version, annotations: { bandwidth: "1M" } },
    });
    expect(kubelet.log).toHaveLength(2);
  });

  it("end within their grace period, are reported as ended, and are deleted by uid", async () => {
    api.put(at("a"), pod("a", { nodeName: "blue-node-1" }));
    await source.open();
    const { uid } = api.objects.get(at("a"))?.metadata ?? {};
    api.put(at("a"), { metadata: { deletionTimestamp: "2026-01-01T00:00:07Z", deletionGracePeriodSeconds: 7 } });
    await eventually(() => expect(api.objects.has(at("a"))).toBe(false));
    expect(kubelet.log).toEqual(["create a on blue-node-1", "remove a in 7000"]);
    expect(writes("PATCH", `${at("a")}/status`).at(-1)?.body).toMatchObject({
      metadata: { uid },
      status: { phase: "Failed" },
    });
    expect(writes("DELETE", at("a"))).toMatchObject([{ body: { gracePeriodSeconds: 0, preconditions: { uid } } }]);
  });

  it("that end without having run here are deleted too, and ended ones are not run again", async () => {
    api.put(at("a"), pod("a", { nodeName: "blue-node-1" }));
    api.put(at("a"), { metadata: { deletionTimestamp: "2026-01-01T00:00:07Z" } });
    api.put(at("done"), { ...pod("done", { nodeName: "blue-node-1" }), status: { phase: "Succeeded" } });
    await source.open();
    await eventually(() => expect(api.objects.has(at("a"))).toBe(false));
    expect(kubelet.log).toEqual([]);
    expect(writes("PATCH", `${at("done")}/status`)).toEqual([]);
  });

  it("that cannot be read are reported", async () => {
    const env = [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.none" } } }];
    api.put(at("a"), pod("a", { nodeName: "blue-node-1", containers: [{ name: "c", env }] }));
    await source.open();
    await eventually(() =>
      expect(api.objects.get(at("a"))?.["status"]).toMatchObject({
        phase: "Pending",
        containerStatuses: [{ state: { waiting: { reason: "CreateContainerConfigError" } } }],
      }),
    );
    await eventually(() => expect(writes("POST", paths.events("default"))).toHaveLength(1));
    expect(source.problems).toMatchObject([{ object: "Pod/default/a" }]);
  });

  it("are bound again after a failure, but not if another scheduler has bound them", async () => {
    api.put(at("a"), pod("a"));
    api.put(at("b"), pod("b"));
    api.failing.set(`POST ${at("a")}/binding`, 500);
    api.failing.set(`POST ${at("b")}/binding`, 409);
    await source.open();
    await eventually(() =>
      expect(source.problems).toMatchObject([{ message: expect.stringMatching(/bind pod default\/a to blue-node-1/) }]),
    );
    api.failing.clear();
    await eventually(() => expect(kubelet.log).toEqual(["create a on blue-node-1"]));
    expect(writes("POST", `${at("b")}/binding`)).toHaveLength(1);
    expect(source.problems).toEqual([]);
  });

  it("are kept while the API has not listed them", async () => {
    api.put(at("a"), pod("a", { nodeName: "blue-node-1" }));
    await source.open();
    api.synced = false;
    api.remove(at("a"));
    await new Promise(setImmediate);
    expect(kubelet.log).toEqual(["create a on blue-node-1"]);
    api.synced = true;
    api.notify();
    await eventually(() => expect(kubelet.log.at(-1)).toBe("remove a in undefined"));
  });

  it("are reported again until the API accepts it", async () => {
    api.failing.set(`PATCH ${at("a")}/status`, 503);
    api.put(at("a"), pod("a", { nodeName: "blue-node-1" }));
    await source.open();
    await eventually(() =>
      expect(source.problems).toMatchObject([
        { message: expect.stringMatching(/report pod default\/a/), severity: "warning" },
      ]),
    );
    api.failing.clear();
    await eventually(() => expect(api.objects.get(at("a"))?.["status"]).toMatchObject({ phase: "Running" }));
    expect(source.problems).toEqual([]);
  });
});

describe("rules", () => {
  const limitAt = (name: string) => `/apis/weir.dev/v1alpha1/namespaces/default/limits/${name}`;
  const limit = (egress: string) => ({
    metadata: { namespace: "default", name: "slow" },
    spec: { selector: { matchLabels: { app: "web" } }, egress },
  });
  const handed = () =>
    JSON.parse(readFileSync(`${lab().cluster}/cluster.yaml`, "utf8")) as {
      items: { kind: string; metadata: { name: string; resourceVersion?: string }; spec?: { egress?: string } }[];
    };
  const told = () => handed().items.map(({ kind, metadata, spec }) => [kind, metadata.name, spec?.egress]);
  const labNodes = [
    ["Node", "blue-node-1", undefined],
    ["Node", "blue-node-2", undefined],
  ];

  it("of the API are passed to the agents, with a new version only when they have changed", async () => {
    api.put("/api/v1/namespaces/default/services/web", {
      metadata: { namespace: "default", name: "web" },
      spec: { selector: { app: "web" }, ports: [{ port: 80 }], clusterIP: "10.96.0.9" },
    });
    api.put(limitAt("slow"), limit("10M"));
    await source.open();
    expect(told()).toEqual([...labNodes, ["Limit", "slow", "10M"], ["Service", "web", undefined]]);
    const version = () => Number(handed().items[0]?.metadata.resourceVersion);
    const first = version();
    api.put(limitAt("slow"), { status: { conditions: [] } });
    await new Promise(setImmediate);
    expect(version()).toBe(first);
    api.put(limitAt("slow"), limit("20M"));
    await eventually(() => expect(told()).toContainEqual(["Limit", "slow", "20M"]));
    expect(version()).toBe(first + 1);
    api.remove(limitAt("slow"));
    await eventually(() => expect(told()).toEqual([...labNodes, ["Service", "web", undefined]]));
  });

  it("that cannot be read keep their last valid state, and are reported", async () => {
    api.put(limitAt("slow"), limit("10M"));
    await source.open();
    api.put(limitAt("slow"), limit("plenty"));
    await eventually(() =>
      expect(source.problems).toMatchObject([
        { object: "Limit/default/slow", path: "spec.egress", message: expect.stringMatching(/last good state stays/) },
      ]),
    );
    expect(told()).toContainEqual(["Limit", "slow", "10M"]);
  });

  it("of unknown kinds are reported", async () => {
    api.absent.add(paths.impairments);
    await source.open();
    expect(source.problems).toMatchObject([
      { severity: "skipped", message: expect.stringMatching(/does not know Impairments: apply deploy\/crds/) },
    ]);
  });
});

it("reports once that tokens are not mounted, and refuses to change objects", async () => {
  const volumes = [{ name: "kube-api-access-x", projected: { sources: [] } }];
  for (const name of ["a", "b"]) api.put(at(name), pod(name, { nodeName: "blue-node-1", volumes }));
  await source.open();
  expect(source.problems).toMatchObject([
    { object: "Lab/blue", severity: "skipped", message: expect.stringMatching(/tokens/) },
  ]);
  expect(() => source.put()).toThrow(/use kubectl/);
  expect(() => source.remove()).toThrow(/use kubectl/);
});
