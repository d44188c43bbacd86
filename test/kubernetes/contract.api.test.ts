import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { documentOf, planned } from "../../src/authors/testing/plan.ts";
import { podDevice } from "../../src/model/ipam.ts";
import type { PodAttachment } from "../../src/model/node-context.ts";
import type { ManifestObject } from "../../src/model/objects.ts";
import { KubernetesClient, openAccess, watchKubernetes } from "../../src/sources/kubernetes/index.ts";
import { type ManifestSnapshot, type ManifestWatch, readManifests } from "../../src/sources/manifests/index.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { CASES, type Written } from "./cases.ts";

/** One cluster state from manifests and from a real API must give the same objects, rules, problems and rows. */

const NODE = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  spec: { podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"] },
};
const folder = mkdtempSync(join(tmpdir(), "weir-contract-"));
let plane: ControlPlane;
let client: KubernetesClient;
let api: ManifestWatch;

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.installDefinitions();
  await plane.apply(NODE);
  client = new KubernetesClient(openAccess({ kubeconfig: plane.kubeconfig, env: {}, home: homedir() }));
  api = watchKubernetes({ client, onChange: () => {} });
  await api.synced;
});
afterAll(async () => {
  await api?.close();
  client?.close();
  await plane?.close();
  rmSync(folder, { recursive: true });
});

/** An agent's result of a snapshot, without what only an API adds: versions, identities, its own namespaces. */
function outcome({ objects, problems }: ManifestSnapshot, namespace: string) {
  const isOurs = ({ kind, metadata }: ManifestObject): boolean =>
    kind === "Node" || metadata.namespace === namespace || (kind === "Namespace" && metadata.name === namespace);
  const ours = objects.filter(isOurs);
  const pods = ours.flatMap((one) => (one.kind === "Pod" ? [one.metadata.name] : [])).sort();
  const endpoints = pods.map((name, index): PodAttachment => {
    const pod = { namespace, name, uid: name, netns: `/run/netns/${name}`, ifname: "eth0" };
    return { ...pod, ...podDevice(pod), ips: [`10.244.1.${index + 2}`, `fd00:10:244:1::${index + 2}`] };
  });
  const mtu = { mtu: 1450, vxlan: { port: 4789, vni: 1 } };
  const node = {
    name: "n1",
    overlay: "vxlan" as const,
    addresses: ["192.0.2.1"],
    podCIDRs: NODE.spec.podCIDRs,
    uplink: "eth0",
    ...mtu,
  };
  const concerning = problems.filter(({ object }) => object.includes(`/${namespace}/`));
  const { state, planner } = planned(new Map(), {
    node: { ...node, fq: true },
    objects: ours,
    endpoints,
    problems: concerning,
  });
  return {
    limits: Object.fromEntries(state.limits),
    impairments: Object.fromEntries(state.impairments),
    problems: state.problems.map(({ at: _, ...problem }) => problem),
    pods: state.pods.map(({ metadata: { name, labels, annotations }, nodeName, hostNetwork }) => ({
      name,
      labels,
      annotations,
      nodeName,
      hostNetwork,
    })),
    document: documentOf(planner),
  };
}

const documents = (namespace: string, written: Written): Written => [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { team: "x" } } },
  ...written.map((one) => ({ ...one, metadata: { namespace, ...one.metadata } })),
];

describe("a folder and the API give the same", () => {
  test.each(CASES.map((one, index) => ({ ...one, namespace: `case-${index}` })))(
    "$name",
    async ({ namespace, objects, shows }) => {
      const all = documents(namespace, objects);
      const file = join(folder, `${namespace}.json`);
      writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: [NODE, ...all] }));
      const written = outcome(await readManifests(file, "agent"), namespace);
      await plane.namespace(namespace);
      await plane.apply(...all);
      const keys = all.map((one) => `${one["kind"]}/${one.metadata.name}`);
      const here = ({ metadata }: ManifestObject) => (metadata.namespace ?? metadata.name) === namespace;
      const seen = () => api.snapshot().objects.filter(here);
      const present = () => new Set(seen().map((one) => `${one.kind}/${one.metadata.name}`));
      await expect.poll(() => keys.filter((key) => !present().has(key)), { timeout: 60_000 }).toEqual([]);
      expect(outcome(api.snapshot(), namespace)).toEqual(written);
      const { document: _, ...readable } = written;
      expect(JSON.stringify(readable)).toContain(shows);
    },
  );
});
