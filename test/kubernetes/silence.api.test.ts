import { homedir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  fixedAccess,
  KubernetesClient,
  loadKubernetesConfig,
  watchKubernetes,
} from "../../src/sources/kubernetes/index.ts";
import type { ManifestWatch } from "../../src/sources/manifests/index.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { FaultProxy } from "../control-plane/fault-proxy.ts";

/** Connections that stay open without data, as behind a router that dropped their state, or to a stopped process. */

const SILENCE = 2000;
let plane: ControlPlane;
let proxy: FaultProxy;
let client: KubernetesClient;
let source: ManifestWatch;

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.namespace("first");
  proxy = await FaultProxy.start({ server: plane.server, ca: plane.ca });
  const config = loadKubernetesConfig({ kubeconfig: plane.kubeconfig, env: {}, home: homedir() });
  client = new KubernetesClient(fixedAccess({ ...config, server: proxy.url }));
  source = watchKubernetes({ client, onChange: () => {}, times: { silence: SILENCE, list: SILENCE, longest: 500 } });
  await source.synced;
});
afterAll(async () => {
  await source?.close();
  client?.close();
  await proxy?.close();
  await plane?.close();
});

const namespaces = () =>
  source.snapshot().objects.flatMap((one) => (one.kind === "Namespace" ? [one.metadata.name] : []));
const troubles = () => source.snapshot().problems.filter(({ severity }) => severity === "warning");

test("silent watches are reopened; the state stays and converges", async () => {
  expect(namespaces()).toContain("first");
  proxy.fault = "silent";
  await plane.namespace("second");
  await sleep(SILENCE / 2);
  expect(namespaces()).not.toContain("second");
  await expect.poll(() => troubles().length, { timeout: 60_000 }).toBeGreaterThan(0);
  expect(namespaces()).toContain("first");
  proxy.fault = "none";
  await expect.poll(namespaces, { timeout: 60_000 }).toContain("second");
  await expect.poll(() => troubles().length, { timeout: 60_000 }).toBe(0);
});

test("a server that is stopped by SIGSTOP and continues later", async () => {
  plane.signalApi("SIGSTOP");
  await expect.poll(() => troubles().length, { timeout: 60_000 }).toBeGreaterThan(0);
  expect(namespaces()).toEqual(expect.arrayContaining(["first", "second"]));
  plane.signalApi("SIGCONT");
  await plane.namespace("third");
  await expect.poll(namespaces, { timeout: 60_000 }).toContain("third");
  await expect.poll(() => troubles().length, { timeout: 60_000 }).toBe(0);
});
