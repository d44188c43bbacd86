import { getEventListeners } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, test } from "vitest";
import { readManifests } from "../manifests/index.ts";
import { fixedAccess } from "./access.ts";
import { KubernetesClient } from "./client.ts";
import { readObject } from "./objects.ts";
import type { RawObject } from "./resource.ts";
import { watchKubernetes } from "./source.ts";
import { event, list, pod, type Step, scriptedServer, status, stream } from "./testing/scripted-server.ts";

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
});

const CORE = ["pods", "nodes", "namespaces", "services"];
const path = (plural: string) => {
  if (plural === "endpointslices") return "/apis/discovery.k8s.io/v1/endpointslices";
  return CORE.includes(plural) ? `/api/v1/${plural}` : `/apis/weir.dev/v1alpha1/${plural}`;
};
type Script = Record<string, { list?: Step[]; watch?: Step[] }>;

/** A source of an API with these objects and no others. */
async function source(script: Script, options: { signal?: AbortSignal; settle?: number } = {}) {
  const steps: Record<string, Step[]> = {};
  for (const plural of [...CORE, "endpointslices", "limits", "impairments"]) {
    steps[`GET ${path(plural)}`] = script[plural]?.list ?? [list([], "1")];
    steps[`watch ${path(plural)}`] = script[plural]?.watch ?? [stream([], "hold")];
  }
  const server = await scriptedServer(steps);
  const client = new KubernetesClient(fixedAccess(server.config));
  const told: string[] = [];
  const watch = watchKubernetes({
    client,
    onChange: (keys) => told.push([...keys].sort().join(" ")),
    times: { shortest: 5, longest: 20, list: 2000, silence: 5000, absent: 50 },
    ...options,
  });
  cleanup.push(
    () => server.close(),
    () => client.close(),
    () => watch.close(),
  );
  const keys = () => watch.snapshot().objects.map((one) => `${one.kind}/${one.metadata.name}`);
  return { server, watch, told, keys };
}

const annotated = (name: string, version: string, bandwidth: string) => {
  const one = pod(name, version);
  return { ...one, metadata: { ...one.metadata, annotations: { bandwidth } } };
};
const impairment = (resourceVersion: string, loss: unknown) => ({
  metadata: { name: "lossy", namespace: "default", resourceVersion, managedFields: [] },
  spec: { pod: "a", direction: "egress", loss },
});

describe("the API as a source", () => {
  it("returns the node's objects, and follows them", async () => {
    const { watch, told, keys } = await source({
      pods: {
        list: [list([annotated("a", "1", "10 mbps egress")], "5")],
        watch: [stream([event("MODIFIED", annotated("a", "6", "20 mbps egress"))], "hold")],
      },
      namespaces: { list: [list([{ metadata: { name: "default", labels: { team: "x" } } }], "5")] },
      services: { list: [list([{ metadata: { name: "s", namespace: "default" }, spec: { clusterIP: "None" } }], "5")] },
      impairments: { list: [list([impairment("3", "2%")], "5")] },
    });
    await watch.synced;
    expect(keys()).toEqual(["Impairment/lossy", "Namespace/default", "Pod/a", "Service/s"]);
    const rate = () => watch.snapshot().objects.find((one) => one.kind === "Pod")?.metadata.annotations["bandwidth"];
    await expect.poll(rate).toBe("20 mbps egress");
    await expect.poll(() => told.join(" ")).toContain("Pod/default/a");
    expect(watch.snapshot().problems).toEqual([]);
  });

  it("merges concurrent events into one change, and keeps the identity of equal objects", async () => {
    const events = ["6", "7", "8"].map((version) => event("MODIFIED", annotated("a", version, version)));
    const pods = { list: [list([pod("a", "1"), pod("b", "2")], "5")], watch: [stream(events, "hold")] };
    const { watch, told } = await source({ pods }, { settle: 300 });
    await watch.synced;
    const b = watch.snapshot().objects.find((one) => one.metadata.name === "b");
    await expect.poll(() => told.length).toBeGreaterThan(0);
    expect(told).toEqual(["Pod/default/a Pod/default/b"]);
    expect(watch.snapshot().objects.find((one) => one.metadata.name === "b")).toBe(b);
    expect(watch.snapshot()).toBe(watch.snapshot());
  });

  it("keeps the last valid state of a refused object, with a problem", async () => {
    const watches = [stream([event("MODIFIED", impairment("6", "200%"))], "hold")];
    const { watch } = await source({ impairments: { list: [list([impairment("3", "2%")], "5")], watch: watches } });
    await watch.synced;
    await expect.poll(() => watch.snapshot().problems.length).toBe(1);
    const [problem] = watch.snapshot().problems;
    expect(problem).toMatchObject({ object: "Impairment/default/lossy", path: "spec.loss" });
    expect(problem?.message).toContain("the last good state stays");
    expect(watch.snapshot().objects).toMatchObject([{ spec: { loss: "2%" } }]);
  });

  it("is synced without CRDs of Weir's kinds, with a problem, and finds them later", async () => {
    const absent = status(404, "NotFound");
    const { watch, keys } = await source({
      limits: { list: [absent] },
      impairments: { list: [absent, list([impairment("3", "2%")], "5")] },
    });
    await watch.synced;
    expect(watch.snapshot().problems[0]).toMatchObject({
      severity: "skipped",
      message: expect.stringContaining("Limit"),
    });
    await expect.poll(keys).toEqual(["Impairment/lossy"]);
  });

  it("is not synced while one resource cannot be listed, with a problem; others are available", async () => {
    const { watch, keys } = await source({
      nodes: { list: [status(403, "Forbidden", "nodes is forbidden")] },
      pods: { list: [list([pod("a", "1")], "5")] },
    });
    let synced = false;
    void watch.synced.then(
      () => (synced = true),
      () => {},
    );
    await expect.poll(keys).toEqual(["Pod/a"]);
    await expect.poll(() => watch.snapshot().problems[0]?.message).toMatch(/403 Forbidden.*the last state stays/);
    expect(synced).toBe(false);
    await watch.close();
    await expect(watch.synced).rejects.toThrow("list nodes: closed");
  });

  it("adds one listener to its signal, however many resources it follows", async () => {
    const { signal } = new AbortController();
    const { watch } = await source({}, { signal });
    await watch.synced;
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
  });

  it("reports nothing after its signal is aborted", async () => {
    const abort = new AbortController();
    const pods = { list: [list([pod("a", "1")], "5")] };
    const { watch, told } = await source({ pods }, { signal: abort.signal, settle: 50 });
    await watch.synced;
    const before = [...told];
    abort.abort();
    await watch.close();
    await new Promise((done) => setTimeout(done, 100));
    expect(told).toEqual(before);
    expect(watch.snapshot().objects).toHaveLength(1);
  });
});

describe("objects", () => {
  const meta = { name: "x", namespace: "default", uid: "u", resourceVersion: "4", labels: { a: "b" }, annotations: {} };
  const items: [string, string, RawObject][] = [
    [
      "v1",
      "Pod",
      { metadata: meta, spec: { nodeName: "n", containers: [{ name: "c" }] }, status: { podIPs: [{ ip: "fd00::1" }] } },
    ],
    [
      "v1",
      "Node",
      { metadata: { name: "n" }, spec: { podCIDRs: ["10.0.0.0/24", "fd00::/64"] }, status: { addresses: [] } },
    ],
    ["v1", "Namespace", { metadata: { name: "ns", labels: { a: "b" } }, status: { phase: "Active" } }],
    ["v1", "Service", { metadata: meta, spec: { selector: { a: "b" }, clusterIPs: ["10.96.0.1", "fd00::9"] } }],
    ["weir.dev/v1alpha1", "Limit", { metadata: meta, spec: { pod: "a", egress: "10M" } }],
    ["weir.dev/v1alpha1", "Impairment", { metadata: meta, spec: { pod: "a", direction: "egress", loss: "2%" } }],
  ];

  test.each(items)("%s %s is the same from a folder and from the API", (apiVersion, kind, raw) => {
    const folder = mkdtempSync(join(tmpdir(), "weir-same-"));
    cleanup.push(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "x.json"), JSON.stringify({ apiVersion, kind, ...raw }));
    const { objects, problems } = readManifests(folder, "agent");
    expect(problems).toEqual([]);
    expect(readObject({ apiVersion, kind, plural: "" }, raw)).toEqual({ object: objects[0], problems: [] });
  });

  const PODS = { apiVersion: "v1", kind: "Pod", plural: "pods" };
  const rich = (phase: string): RawObject => ({
    metadata: meta,
    spec: {
      nodeName: "n",
      initContainers: [{ name: "i" }],
      containers: [
        {
          name: "c",
          env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }],
          volumeMounts: [{ name: "v" }],
        },
      ],
      volumes: [{ name: "token", projected: {} }],
      affinity: {},
    },
    status: { phase, podIPs: [{ ip: "10.0.0.7" }] },
  });
  it("reads pods with all of a cluster's fields, and ignores addresses of finished ones", () => {
    expect(readObject(PODS, rich("Running"))).toMatchObject({ object: { ips: ["10.0.0.7"] }, problems: [] });
    expect(readObject(PODS, rich("Failed")).object).not.toHaveProperty("ips");
  });
  it("keeps annotations that are rules or similar to one, and not those of other tools", () => {
    const kept = {
      "kubernetes.io/egress-bandwidth": "10M",
      "weir.dev/loss": "2%",
      loss: "2%",
      "kubernets.io/ingress-bandwidth": "1M",
      "k8s.io/Egress-Bandwidth": "1M",
      "weir.dev/lost": "2%",
    };
    const foreign = {
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
      "k8s.v1.cni.cncf.io/network-status": "[]",
      "sidecar.istio.io/status": "{}",
    };
    for (const kind of ["Pod", "Service"]) {
      const raw = { ...rich("Running"), metadata: { ...meta, annotations: { ...foreign, ...kept } } };
      expect(readObject({ ...PODS, kind }, raw).object?.metadata.annotations).toEqual(kept);
    }
  });
  it("returns the identical result if nothing has changed", () => {
    const first = readObject(PODS, rich("Running"));
    expect(readObject(PODS, structuredClone(rich("Running")), first)).toBe(first);
    expect(readObject(PODS, rich("Failed"), first)).not.toBe(first);
  });
});
