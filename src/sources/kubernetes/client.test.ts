import { afterEach, describe, expect, it, test } from "vitest";
import { fixedAccess } from "./access.ts";
import { KubernetesClient } from "./client.ts";
import { ApiStatusError, ConnectionError } from "./errors.ts";
import { type Resource, resourcePath } from "./resource.ts";
import {
  event,
  json,
  list,
  pod,
  reset,
  type ScriptedServer,
  scriptedServer,
  silence,
  status,
  stream,
} from "./testing/scripted-server.ts";
import { makeCertificate, tlsServer } from "./testing/tls-server.ts";

const PODS: Resource = { apiVersion: "v1", kind: "Pod", plural: "pods" };
const LIMITS: Resource = { apiVersion: "weir.dev/v1alpha1", kind: "Limit", plural: "limits" };

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
});

async function against(script: Parameters<typeof scriptedServer>[0], config: object = {}) {
  const server = await scriptedServer(script);
  const client = new KubernetesClient(fixedAccess({ ...server.config, ...config }));
  cleanup.push(
    () => server.close(),
    () => client.close(),
  );
  return { server, client };
}
const last = (server: ScriptedServer) => server.seen.at(-1);

test.each([
  [PODS, {}, "/api/v1/pods"],
  [PODS, { namespace: "a", name: "b" }, "/api/v1/namespaces/a/pods/b"],
  [
    LIMITS,
    { namespace: "a", name: "b", subresource: "status" as const },
    "/apis/weir.dev/v1alpha1/namespaces/a/limits/b/status",
  ],
])("path %#", (resource, target, path) => {
  expect(resourcePath(resource, target)).toBe(path);
});
test.each(["..", "a/b", "a?b", "a%2e", "", "a..b", "a\nb"])("an invalid name is refused: %j", (name) => {
  expect(() => resourcePath(PODS, { namespace: "default", name })).toThrow(TypeError);
});

describe("calls", () => {
  it("lists by pages, with selectors and token, on one kept connection", async () => {
    const pages = [list([pod("a", "1")], "9", "next"), list([pod("b", "2")], "9")];
    const { server, client } = await against({ "GET /api/v1/pods": pages }, { token: "secret" });
    const first = await client.list(PODS, { limit: 1, fieldSelector: "spec.nodeName=n1" });
    expect(first).toMatchObject({ items: [{ metadata: { name: "a" } }], resourceVersion: "9", continue: "next" });
    expect(last(server)?.headers.authorization).toBe("Bearer secret");
    expect(last(server)?.query).toEqual({ limit: "1", fieldSelector: "spec.nodeName=n1" });
    const second = await client.list(PODS, { limit: 1, continue: first.continue });
    expect(second).toMatchObject({ items: [{ metadata: { name: "b" } }], continue: undefined });
    expect(last(server)?.query).toEqual({ limit: "1", continue: "next" });
    expect(server.open()).toBe(1);
  });

  const target = { namespace: "default", name: "slow" };
  const path = "/apis/weir.dev/v1alpha1/namespaces/default/limits/slow";
  const body = { status: { conditions: [] } };
  const status_ = { ...target, subresource: "status" as const };
  test.each([
    ["get", `GET ${path}`, {}, undefined, (c: KubernetesClient) => c.get(LIMITS, target)],
    [
      "apply of the status",
      `PATCH ${path}/status`,
      { fieldManager: "weir", force: "true" },
      "application/apply-patch+yaml",
      (c: KubernetesClient) => c.apply(LIMITS, status_, body, { fieldManager: "weir", force: true }),
    ],
    [
      "merge patch of the status",
      `PATCH ${path}/status`,
      {},
      "application/merge-patch+json",
      (c: KubernetesClient) => c.patch(LIMITS, status_, body),
    ],
    [
      "create on trial",
      "POST /apis/weir.dev/v1alpha1/namespaces/default/limits",
      { dryRun: "All" },
      "application/json",
      (c: KubernetesClient) => c.create(LIMITS, { namespace: "default" }, body, { dryRun: true }),
    ],
  ])("%s", async (_, key, query, type, call) => {
    const object = { metadata: { name: "slow" }, spec: {} };
    const { server, client } = await against({ [key]: [json(object)] });
    expect(await call(client)).toEqual(object);
    expect(last(server)).toMatchObject({ query, body: type && body });
    expect(last(server)?.headers["content-type"]).toBe(type);
  });

  it("deletes", async () => {
    const { server, client } = await against({ [`DELETE ${path}`]: [json({ kind: "Status", status: "Success" })] });
    await client.delete(LIMITS, target);
    expect(server.seen).toHaveLength(1);
  });
});

describe("failures", () => {
  it("an error has the server's status, reason, fields and retry delay", async () => {
    const details = { causes: [{ field: "spec.loss", message: "must\nbe a percentage" }] };
    const refused = { kind: "Status", reason: "Invalid", message: "bad\u001b[31m", details };
    const { client } = await against({ "GET /api/v1/pods": [json(refused, 422, { "retry-after": "7" })] });
    const error = await client.list(PODS).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ApiStatusError);
    expect(error).toMatchObject({ status: 422, reason: "Invalid", retryAfter: 7000 });
    expect(error.causes).toEqual([{ field: "spec.loss", message: "must?be a percentage" }]);
    expect(error.message).toMatch(/^GET \/api\/v1\/pods at http:.*: 422 Invalid: bad\?\[31m$/);
  });

  test.each([
    ["a reset", reset, "ECONNRESET"],
    ["no answer", silence, "ETIMEDOUT"],
    ["an answer that is no JSON", ((response) => response.end("<html>")) as typeof reset, "EPROTO"],
    ["a list without items", json({ metadata: { resourceVersion: "1" } }), "EPROTO"],
    ["an item without a name", list([{ metadata: {} }], "1"), "EPROTO"],
    ["a body that breaks off", stream(["{"], "reset"), "ECONNRESET"],
    ["a body that stands still", stream(["{"], "hold"), "ETIMEDOUT"],
  ])("%s is a ConnectionError", async (_, step, code) => {
    const { client } = await against({ "GET /api/v1/pods": [step] });
    const error = await client.list(PODS, { timeout: 200 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.code).toBe(code);
  });

  it("repeats a read on a new connection if the kept one was closed", async () => {
    const { server, client } = await against({ "GET /api/v1/pods": [list([], "1"), reset, list([], "2")] });
    await client.list(PODS);
    expect((await client.list(PODS)).resourceVersion).toBe("2");
    expect(server.seen).toHaveLength(3);
  });

  it("rejects with the signal's reason, before and during a request", async () => {
    const { client } = await against({ "GET /api/v1/pods": [silence] });
    const reason = new Error("enough");
    await expect(client.list(PODS, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const waiting = client.list(PODS, { signal: abort.signal });
    setTimeout(() => abort.abort(reason), 50);
    await expect(waiting).rejects.toBe(reason);
  });
});

describe("watch", () => {
  const options = { resourceVersion: "5", seconds: 60 };
  async function events(client: KubernetesClient, signal?: AbortSignal, silence = 60_000) {
    const seen: unknown[] = [];
    try {
      for await (const one of client.watch(PODS, { ...options, silence, signal })) seen.push(one.object["metadata"]);
      return { seen };
    } catch (error) {
      return { seen, error: error as ConnectionError };
    }
  }
  const metadata = { name: "ä", resourceVersion: "6" };
  const added = event("ADDED", { metadata });
  const text = Buffer.from(`${JSON.stringify(added)}\n`);

  it("parses events that arrive in pieces, even of a character", async () => {
    const pieces: typeof reset = (response) => {
      response.write(text.subarray(0, text.indexOf(0xc3) + 1));
      setTimeout(() => response.end(text.subarray(text.indexOf(0xc3) + 1)), 30);
    };
    const { server, client } = await against({ "watch /api/v1/pods": [pieces] });
    expect(await events(client)).toEqual({ seen: [metadata] });
    expect(last(server)?.query).toEqual({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: "5",
      timeoutSeconds: "60",
    });
  });

  test.each([
    ["is reset", stream([added], "reset"), "ECONNRESET", 1],
    ["falls silent", stream([added], "hold"), "ETIMEDOUT", 1],
    ["ends within a line", stream([added, '{"type":"ADD'], "end"), "ECONNRESET", 1],
    ["says no JSON", stream([added, "nonsense\n"], "hold"), "EPROTO", 1],
    ["says no event", stream([added, { type: "OTHER", object: {} }], "hold"), "EPROTO", 1],
    ["never begins", silence, "ETIMEDOUT", 0],
  ])("throws after the events before it if the stream %s", async (_, step, code, count) => {
    const { client } = await against({ "watch /api/v1/pods": [step] });
    const { seen, error } = await events(client, undefined, code === "ETIMEDOUT" ? 200 : undefined);
    expect(seen).toHaveLength(count);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error?.code).toBe(code);
  });

  it("throws a refusal as ApiStatusError, and closes the connection when aborted", async () => {
    const script = { "watch /api/v1/pods": [status(410, "Expired"), stream([added], "hold")] };
    const { server, client } = await against(script);
    expect((await events(client)).error).toMatchObject({ status: 410, reason: "Expired" });
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")), 50);
    expect((await events(client, abort.signal)).error?.message).toBe("enough");
    await expect.poll(() => server.open()).toBeLessThanOrEqual(1);
  });
});

describe("TLS", () => {
  it("only trusts the given CA, and presents its certificate", async () => {
    const { cert, key } = makeCertificate("weir");
    const server = await tlsServer({ cert, key, clients: [cert] });
    cleanup.push(() => server.close());
    const listing = async (tls: object) => {
      const config = { server: server.url, origin: "test", namespace: "default", tls: { insecure: false, ...tls } };
      const client = new KubernetesClient(fixedAccess(config));
      cleanup.push(() => client.close());
      return client.list(PODS).then(
        (page) => page.resourceVersion,
        (error: ConnectionError) => error.code,
      );
    };
    expect(await listing({ ca: cert, cert, key })).toBe("1");
    expect(await listing({ insecure: true, cert, key })).toBe("1");
    expect(await listing({ cert, key })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await listing({ ca: cert, cert, key, serverName: "other.test" })).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(await listing({ ca: cert })).not.toBe("1");
  });
});
