import { describe, expect, test } from "vitest";
import { NOT_COUNTED } from "../model/limit-counts.ts";
import { ApiError } from "./errors.ts";
import { buildApp } from "./server.ts";
import { MemoryBackend } from "./testing/memory.ts";

const pod = {
  namespace: "shop",
  name: "web-0",
  ips: ["10.244.1.5", "fd00:10:244:1::5"],
  device: "weir0123456789a",
  resourceVersion: "7",
  problems: [],
};
const limit = {
  namespace: "shop",
  pod: "web-0",
  direction: "egress" as const,
  source: "bandwidth",
  written: "10 mbps egress",
  configured: 1e7,
  effective: 1e7,
  measured: 9_990_000,
  measuredAge: 1.5,
  ...NOT_COUNTED,
  mechanism: "htb",
  reason: null,
};
const port = {
  name: "router:weir1",
  instance: "router",
  function: "router",
  peer: "device weir1",
  device: "weir1",
  state: "up" as const,
  ingress: ["limit:shop/web-0"],
  egress: [],
  received: { packets: 3, bytes: 300 },
  sent: { packets: 2, bytes: 200 },
};
const spec = { uid: "5e0f", netns: "/run/netns/x" };

async function start(state: ConstructorParameters<typeof MemoryBackend>[1] = {}) {
  const backend = new MemoryBackend("node-1", state);
  return { backend, ...(await buildApp(backend)) };
}

describe("reading", () => {
  const state = {
    pods: [pod],
    limits: [limit],
    ports: [port],
    chains: [
      {
        port: "router:weir1",
        direction: "ingress" as const,
        hops: [{ instance: "limit:a", function: "limit" }],
        end: "router",
      },
    ],
    drops: [
      {
        port: "router:weir1",
        direction: "egress" as const,
        reason: "no_route",
        description: "no route",
        packets: 4,
        bytes: 400,
      },
    ],
    problems: [{ object: "Pod/shop/web-0", path: "metadata.labels.rate", message: "no number" }],
    endpoints: [
      { namespace: "shop", name: "web-0", ifname: "eth0", device: "weir1", mac: "02:00:00:00:00:01", ips: [], ...spec },
    ],
  };
  test.each(Object.entries(state))("GET /v1/%s returns the items with their node", async (kind, items) => {
    const { app } = await start(state);
    const answer = await app.inject(`/v1/${kind}`);
    expect(answer.statusCode).toBe(200);
    const owner = ["ports", "chains", "drops"].includes(kind) ? { owner: "shop/web-0" } : {};
    expect(answer.json()).toEqual({ items: items.map((item) => ({ node: "node-1", ...owner, ...item })) });
  });

  test("a port without a pod belongs to the node", async () => {
    const { app } = await start({ ...state, endpoints: [] });
    expect((await app.inject("/v1/ports")).json().items).toMatchObject([{ name: "router:weir1", owner: null }]);
  });

  test("GET /v1/status and /v1/doctor return one object", async () => {
    const { app, backend } = await start();
    expect((await app.inject("/v1/status")).json()).toEqual({ node: "node-1", ...backend.state.status });
    expect((await app.inject("/v1/doctor")).json()).toEqual(backend.state.doctor);
  });

  test("GET /v1/topology returns a document, with bytes and large integers in JSON", async () => {
    const row = {
      table: "weir_rt_hosts",
      key: { family: 4, address: new Uint8Array([10, 0, 0, 1]) },
      value: { port: { port: "router:weir1" }, big: 2n ** 63n, small: 7n, list: [1, 2n] },
    };
    const { app } = await start({
      topology: {
        links: [],
        routes: [],
        instances: [{ name: "router", function: "router" }],
        ports: [],
        shapers: [],
        leases: [],
        rows: [row],
      },
    });
    const document = (await app.inject("/v1/topology")).json();
    expect(document).toMatchObject({ apiVersion: "weir.dev/v1alpha1", kind: "Topology", metadata: { name: "node-1" } });
    expect(document.spec.rows).toEqual([
      {
        table: "weir_rt_hosts",
        key: { family: 4, address: { bytes: "0a000001" } },
        value: { port: { port: "router:weir1" }, big: { integer: "9223372036854775808" }, small: 7, list: [1, 2] },
      },
    ]);
  });

  test("an answer that violates its schema is an internal error with the field", async () => {
    const { app } = await start({ pods: [{ ...pod, ips: undefined as never }] });
    const answer = await app.inject("/v1/pods");
    expect(answer.statusCode).toBe(500);
    expect(answer.json().error).toMatchObject({ code: "internal", message: expect.stringContaining("items.0.ips") });
  });
});

describe("endpoints", () => {
  const url = "/v1/endpoints/shop/web-0";
  test("PUT creates (201), is idempotent (200), GET reads, DELETE removes (204) twice", async () => {
    const { app } = await start();
    const put = () => app.inject({ method: "PUT", url, payload: spec });
    const made = await put();
    expect(made.statusCode).toBe(201);
    expect(made.json()).toMatchObject({ node: "node-1", namespace: "shop", name: "web-0", ifname: "eth0", ...spec });
    const again = await put();
    expect([again.statusCode, again.json()]).toEqual([200, made.json()]);
    expect((await app.inject(url)).json()).toEqual(made.json());
    for (let i = 0; i < 2; i++) expect((await app.inject({ method: "DELETE", url })).statusCode).toBe(204);
    const gone = await app.inject(url);
    expect([gone.statusCode, gone.json().error.code]).toEqual([404, "missing"]);
  });

  test("DELETE only removes the endpoint that the query selects, and refuses an unknown query", async () => {
    const { app, backend } = await start();
    await app.inject({ method: "PUT", url, payload: { ...spec, sandbox: "s2" } });
    const remove = async (query: string) => (await app.inject({ method: "DELETE", url: `${url}?${query}` })).statusCode;
    for (const query of ["sandbox=s1", "uid=other", "netns=/run/netns/old"]) expect(await remove(query)).toBe(204);
    for (const query of ["sandbx=s2", "sandbox=", "sandbox=a%2Fb", "netns=x", "sandbox=a&sandbox=b"]) {
      expect(await remove(query)).toBe(400);
    }
    expect(backend.state.endpoints).toHaveLength(1);
    expect(await remove("sandbox=s2")).toBe(204);
    expect(backend.state.endpoints).toEqual([]);
  });

  test("another uid is 409", async () => {
    const { app } = await start();
    await app.inject({ method: "PUT", url, payload: spec });
    const answer = await app.inject({ method: "PUT", url, payload: { ...spec, uid: "other" } });
    expect([answer.statusCode, answer.json().error.code]).toEqual([409, "exists"]);
  });

  test("what the kernel refuses is 422 with its line and a hint", async () => {
    const { app, backend } = await start();
    backend.putEndpoint = async () => {
      throw new ApiError("refused", "attach tcx link to eth0: EPERM", { hint: "needs CAP_BPF" });
    };
    const answer = await app.inject({ method: "PUT", url, payload: spec });
    expect(answer.statusCode).toBe(422);
    expect(answer.json()).toEqual({
      error: { code: "refused", message: "attach tcx link to eth0: EPERM", hint: "needs CAP_BPF" },
    });
  });

  test("any other failure is 500 with its message", async () => {
    const { app, backend } = await start();
    backend.deleteEndpoint = async () => Promise.reject(new Error("map full"));
    const answer = await app.inject({ method: "DELETE", url });
    expect([answer.statusCode, answer.json()]).toEqual([500, { error: { code: "internal", message: "map full" } }]);
  });
});

describe("hostile requests", () => {
  const put = (url: string, payload: unknown = spec) => ({ method: "PUT" as const, url, payload: payload as object });
  const json = { "content-type": "application/json" };
  const of = (name: string) => `/v1/endpoints/shop/${name}`;
  test.each([
    ["slash in a name", put(of("a%2Fb")), "name"],
    ["parent in a name", put(of("..%2F..%2Fetc")), "name"],
    ["newline in a name", put(of("web%0Aroot")), "name"],
    ["NUL in a name", put(of("web%00")), "name"],
    ["upper case in a namespace", put("/v1/endpoints/Shop/web"), "namespace"],
    ["shell in a namespace", put("/v1/endpoints/$(id)/web"), "namespace"],
    ["long name", put(of("a".repeat(254))), "name"],
    ["bad escape", put(of("%zz")), undefined],
    ["bad UTF-8", put(of("%ff")), undefined],
    ["no body", { method: "PUT" as const, url: of("web") }, undefined],
    ["no uid", put(of("web"), { netns: "/run/netns/x" }), "uid"],
    ["number as uid", put(of("web"), { ...spec, uid: 7 }), "uid"],
    ["space in a uid", put(of("web"), { ...spec, uid: "a b" }), "uid"],
    ["relative netns", put(of("web"), { ...spec, netns: "run/netns/x" }), "netns"],
    ["parent in netns", put(of("web"), { ...spec, netns: "/run/netns/../../etc" }), "netns"],
    ["newline in netns", put(of("web"), { ...spec, netns: "/run/\n" }), "netns"],
    ["long device", put(of("web"), { ...spec, ifname: "a".repeat(16) }), "ifname"],
    ["device ..", put(of("web"), { ...spec, ifname: ".." }), "ifname"],
    ["space in a sandbox", put(of("web"), { ...spec, sandbox: "a b" }), "sandbox"],
    ["slash in a device", put(of("web"), { ...spec, ifname: "a/b" }), "ifname"],
    ["unknown key", put(of("web"), { ...spec, "evil\n": 1 }), "evil\\n"],
    ["array", put(of("web"), [spec]), undefined],
    ["prototype", { ...put(of("web")), payload: '{"__proto__":{"a":1},"uid":"a"}', headers: json }, undefined],
    ["cut JSON", { ...put(of("web")), payload: '{"uid":', headers: json }, undefined],
    ["huge body", { ...put(of("web")), payload: `{"uid":"${"a".repeat(70_000)}"}`, headers: json }, undefined],
    ["other media type", { ...put(of("web")), payload: "uid=1", headers: { "content-type": "text/plain" } }, undefined],
  ])("%s is 400 with the field", async (_name, request, path) => {
    const { app, backend } = await start();
    const answer = await app.inject(request);
    expect([answer.statusCode, answer.json().error]).toEqual([
      400,
      expect.objectContaining({ code: "invalid", message: expect.stringMatching(/^read [ -~]+$/) }),
    ]);
    expect(answer.json().error.path).toBe(path);
    expect(backend.state.endpoints).toEqual([]);
  });

  test.each(["/v1/nothing", "/v1/pods/../../etc/passwd", "/%00", "/v1/endpoints/shop/a/b", "/openapi.json/"])(
    "%s is 404",
    async (url) => {
      const { app } = await start();
      const answer = await app.inject(url);
      expect([answer.statusCode, answer.json().error.code]).toEqual([404, "missing"]);
      expect(answer.json().error.message).toMatch(/^[ -~]+$/);
    },
  );
});

test("/openapi.json is OpenAPI 3.1 with every route, description and the strict body", async () => {
  const { app } = await start();
  const document = (await app.inject("/openapi.json")).json();
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths).sort()).toEqual(
    [
      ...[
        "chains",
        "doctor",
        "drops",
        "endpoints",
        "impairments",
        "limits",
        "objects",
        "pods",
        "ports",
        "problems",
        "programs",
        "status",
        "topology",
      ].map((k) => `/v1/${k}`),
      "/v1/endpoints/{namespace}/{name}",
      "/v1/objects/{kind}/{name}",
      "/v1/objects/{kind}/{namespace}/{name}",
    ].sort(),
  );
  const { put } = document.paths["/v1/endpoints/{namespace}/{name}"];
  expect(put.parameters.map((parameter: { name: string }) => parameter.name)).toEqual(["namespace", "name"]);
  expect(Object.keys(put.responses)).toEqual(["200", "201", "4XX", "5XX"]);
  const { schemas } = document.components;
  const text = JSON.stringify(document);
  const refs = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name);
  expect(Object.keys(schemas).sort()).toEqual([...new Set(refs)].sort());
  expect(schemas.EndpointSpecInput ?? schemas.EndpointSpec).toMatchObject({
    required: ["uid", "netns"],
    additionalProperties: false,
  });
  expect(schemas.Limit.properties.effective.description).toContain("bit/s");
  expect(JSON.stringify(document)).not.toContain("undefined");
});

describe("objects", () => {
  const manifest = { apiVersion: "weir.dev/v1alpha1", kind: "Limit", metadata: { name: "slow", namespace: "shop" } };
  const put = (items: unknown, query = "") => ({
    method: "PUT" as const,
    url: `/v1/objects${query}`,
    payload: { items },
  });

  test("are created, listed, unchanged when put again, and deleted", async () => {
    const { app } = await start();
    const named = { node: "node-1", kind: "Limit", namespace: "shop", name: "slow" };
    const act = async (request: object) => (await app.inject(request)).json().items;
    expect(await act(put([manifest], "?dryRun=true"))).toEqual([{ ...named, action: "created", problems: [] }]);
    expect((await app.inject("/v1/objects")).json()).toEqual({ items: [] });
    expect(await act(put([manifest]))).toEqual([{ ...named, action: "created", problems: [] }]);
    expect(await act(put([manifest]))).toEqual([{ ...named, action: "unchanged", problems: [] }]);
    expect((await app.inject("/v1/objects")).json()).toEqual({ items: [{ ...named, manifest }] });
    for (let again = 0; again < 2; again++) {
      const gone = await app.inject({ method: "DELETE", url: "/v1/objects/Limit/shop/slow" });
      expect(gone.statusCode).toBe(204);
    }
    expect((await app.inject("/v1/objects")).json()).toEqual({ items: [] });
  });

  test.each([
    ["no set", { method: "PUT", url: "/v1/objects", payload: {} }, "items"],
    ["a bad document", put([manifest, { kind: "Limit" }]), "items[1].metadata.name"],
    ["a wrong flag", put([], "?dryRun=maybe"), "dryRun"],
    ["a bad kind", { method: "DELETE", url: "/v1/objects/a%2fb/x" }, "kind"],
    ["a bad name", { method: "DELETE", url: "/v1/objects/Limit/shop/X" }, "name"],
  ])("%s is 400 with its path", async (_, request, path) => {
    const { app } = await start();
    const answer = await app.inject(request as object);
    expect([answer.statusCode, answer.json().error.path]).toEqual([400, path]);
  });
});

test("/metrics is the text exposition, read at the scrape", async () => {
  const { app, backend, metrics } = await start({ limits: [limit] });
  metrics.reconciled(0.02);
  const scrape = async () => (await app.inject("/metrics")).body.split("\n");
  expect(await scrape()).toContain(
    'weir_limit_configured_bytes_per_second{namespace="shop",pod="web-0",direction="egress"} 1250000',
  );
  expect(await scrape()).toContain('weir_agent_reconcile_seconds_bucket{le="0.025"} 1');
  backend.state.limits = [];
  expect((await scrape()).join("\n")).not.toContain("weir_limit_configured_bytes_per_second{");
});
