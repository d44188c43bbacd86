import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, expect, it, vi } from "vitest";
import { fixedAccess, KubernetesClient } from "../../sources/kubernetes/index.ts";
import {
  json,
  list,
  type ScriptedServer,
  type Step,
  scriptedServer,
  silence,
  status,
} from "../../sources/kubernetes/testing/scripted-server.ts";
import { type KubeApi, paths } from "./api.ts";
import { apiOf, connect } from "./connect.ts";
import { resolveTarget } from "./open.ts";

const eventually = <T>(check: () => T): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

let server: ScriptedServer;
let client: KubernetesClient;
async function open(script: Record<string, Step[]>): Promise<KubeApi> {
  server = await scriptedServer(script);
  client = new KubernetesClient(fixedAccess(server.config));
  return apiOf(client, [1, 1]);
}
afterEach(async () => {
  client?.close();
  await server?.close();
});

const item = (name: string, resourceVersion = "1") => ({ metadata: { namespace: "default", name, resourceVersion } });
const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;
/** A watch that sends this and stays open. */
const watching =
  (...lines: string[]): Step =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    for (const line of lines) response.write(line);
  };

it("reads, writes and deletes by path, as a kubelet does", async () => {
  const pod = paths.pod("default", "a");
  const api = await open({
    [`GET ${pod}`]: [json(item("a"))],
    [`PATCH ${pod}/status`]: [json(item("a"))],
    [`POST ${pod}/binding`]: [json({ kind: "Status", status: "Success" }, 201)],
    [`DELETE ${pod}`]: [json(item("a"))],
    "GET /api/v1/pods": [list([item("a")], "7")],
  });
  expect(await api.get(pod)).toEqual(item("a"));
  expect(await api.get(`${paths.pods}?fieldSelector=spec.nodeName%3Dn`)).toMatchObject({ items: [item("a")] });
  await api.patch(`${pod}/status`, { status: { phase: "Running" } });
  await api.post(`${pod}/binding`, { target: { name: "n" } });
  await api.delete(pod, { gracePeriodSeconds: 0 });
  const told = server.seen.map(({ method, query, headers, body }) => ({
    ...{ method, query, body },
    type: headers["content-type"],
  }));
  expect(told).toEqual([
    { method: "GET", query: {}, body: undefined, type: undefined },
    { method: "GET", query: { fieldSelector: "spec.nodeName=n" }, body: undefined, type: undefined },
    {
      ...{ method: "PATCH", query: {}, body: { status: { phase: "Running" } } },
      type: "application/strategic-merge-patch+json",
    },
    { method: "POST", query: {}, body: { target: { name: "n" } }, type: "application/json" },
    { method: "DELETE", query: {}, body: { gracePeriodSeconds: 0 }, type: "application/json" },
  ]);
});

it("a missing object is not an error of get and delete; other errors have their status", async () => {
  const missing = status(404, "NotFound");
  const api = await open({
    "GET /api/v1/nodes/n": [missing],
    "DELETE /api/v1/nodes/n": [missing],
    "POST /api/v1/nodes": [status(409, "AlreadyExists")],
    "GET /api/v1/nodes/m": [status(500, "InternalError")],
  });
  expect(await api.get(paths.node("n"))).toBeUndefined();
  await api.delete(paths.node("n"));
  await expect(api.post(paths.nodes, {})).rejects.toMatchObject({ status: 409 });
  await expect(api.get(paths.node("m"))).rejects.toMatchObject({ status: 500 });
});

it.each(["../secrets", "a/../b", "", "a b", "%2e%2e"])("makes no call with the name %j in a path", async (name) => {
  const api = await open({});
  await expect(api.get(paths.pod("default", name))).rejects.toThrow("is no path of the API");
  expect(server.seen).toEqual([]);
});

it("retries idempotent calls on 429 and 5xx, and no others", async () => {
  const [busy, broken] = [status(429, "TooManyRequests"), status(503, "ServiceUnavailable")];
  const api = await open({
    "GET /api/v1/nodes/n": [busy, broken, json(item("n"))],
    "PATCH /api/v1/nodes/n": [broken, json(item("n"))],
    "DELETE /api/v1/nodes/n": [broken, status(404, "NotFound")],
    "POST /api/v1/nodes": [broken],
    "GET /api/v1/nodes/m": [broken],
  });
  expect(await api.get(paths.node("n"))).toEqual(item("n"));
  await api.patch(paths.node("n"), {});
  await api.delete(paths.node("n"));
  await expect(api.post(paths.nodes, {})).rejects.toMatchObject({ status: 503 });
  await expect(api.get(paths.node("m"))).rejects.toMatchObject({ status: 503 });
  expect(server.seen.map(({ method }) => method).join(" ")).toBe(
    "GET GET GET PATCH PATCH DELETE DELETE POST GET GET GET",
  );
});

it("watches a collection, also an empty or an unknown one", async () => {
  const api = await open({
    "GET /api/v1/pods": [list([item("a")], "7")],
    "watch /api/v1/pods": [watching(event("ADDED", item("b", "8")), event("DELETED", item("a", "9"))), silence],
    "GET /api/v1/services": [list([], "7")],
    "watch /api/v1/services": [silence],
    [`GET ${paths.limits}`]: [status(404, "NotFound")],
  });
  const changed = vi.fn();
  const pods = api.follow(paths.pods, changed);
  const empty = vi.fn();
  const services = api.follow(paths.services, empty);
  const limits = api.follow(paths.limits, vi.fn(), true);
  expect([pods.synced, services.synced, limits.synced]).toEqual([false, false, false]);
  await eventually(() => expect(pods.objects.map(({ metadata }) => metadata.name)).toEqual(["b"]));
  await eventually(() => expect([pods.synced, services.synced, limits.synced]).toEqual([true, true, true]));
  expect(changed).toHaveBeenCalled();
  expect(empty).toHaveBeenCalled();
  expect([pods.absent, services.absent, limits.absent]).toEqual([false, false, true]);
  expect(pods.trouble).toBeUndefined();
  await Promise.all([pods.close(), services.close(), limits.close()]);
});

it("keeps the objects while the API refuses, and reports why", async () => {
  const api = await open({
    "GET /api/v1/pods": [list([item("a")], "7"), status(500, "InternalError")],
    "watch /api/v1/pods": [status(410, "Expired")],
  });
  const pods = api.follow(paths.pods, () => {});
  await eventually(() => expect(pods.trouble).toContain("500 InternalError"));
  expect(pods.objects).toEqual([item("a")]);
  await pods.close();
});

it("keeps the context that was the current one at the start", async () => {
  const dir = mkdtempSync(`${tmpdir()}/weir-connect-`);
  const kubeconfig = `${dir}/config`;
  const config = (current: string) => ({
    "current-context": current,
    clusters: [{ name: "c", cluster: { server: "http://127.0.0.1:1/base" } }],
    contexts: [
      { name: "blue", context: { cluster: "c" } },
      { name: "red", context: { cluster: "missing" } },
    ],
  });
  try {
    writeFileSync(kubeconfig, JSON.stringify(config("blue")));
    const target = await resolveTarget({ kubeconfig }, undefined);
    expect(target).toEqual({ kubeconfig, context: "blue" });
    writeFileSync(kubeconfig, JSON.stringify(config("red")));
    expect((await connect(target)).server).toBe("http://127.0.0.1:1/base");
    await expect(connect({ kubeconfig, context: "red" })).rejects.toThrow('no cluster "missing"');
    expect(await resolveTarget({ kubeconfig, context: "red" }, undefined)).toEqual({ kubeconfig, context: "red" });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
