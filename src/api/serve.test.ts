import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Client, ClientError } from "./client.ts";
import { type ApiServer, type ServeOptions, serve } from "./serve.ts";
import { MemoryBackend } from "./testing/memory.ts";

let root: string;
let socket: string;
let servers: ApiServer[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "weir-t"));
  socket = join(root, "run", "agent.sock");
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await rm(root, { recursive: true });
});

async function start(options: Partial<ServeOptions> = {}) {
  const backend = new MemoryBackend("node-1");
  const server = await serve({ backend, socket, ...options });
  servers.push(server);
  return { backend, server, client: new Client({ socket }) };
}

describe("the socket", () => {
  test("is only accessible to its owner, like its directory, and is removed with the server", async () => {
    const { server } = await start();
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, "run"))).mode & 0o777).toBe(0o700);
    await server.close();
    await server.close();
    await expect(stat(socket)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("left by a dead process is replaced", async () => {
    await mkdir(join(root, "run"));
    await leaveStale(socket);
    expect((await stat(socket)).isSocket()).toBe(true);
    const { client } = await start();
    expect((await client.status()).node).toBe("node-1");
  });

  test("of a running agent is not replaced", async () => {
    const { client } = await start();
    await expect(start()).rejects.toThrow(`listen on ${socket}: EADDRINUSE (another agent listens there)`);
    expect((await client.status()).node).toBe("node-1");
  });

  test("does not replace a file or a link", async () => {
    await mkdir(join(root, "run"));
    await writeFile(socket, "precious");
    await expect(start()).rejects.toThrow("EEXIST (a file that is no socket is in the way)");
    await rm(socket);
    await symlink("/nowhere", socket);
    await expect(start()).rejects.toThrow("EEXIST");
  });

  test("is refused in a directory that others may write to", async () => {
    await mkdir(join(root, "run"));
    await chmod(join(root, "run"), 0o777);
    await expect(start()).rejects.toThrow(/EPERM \(others may write to .*\/run: chmod 700/);
  });

  test("with a path too long for the kernel is refused with the reason", async () => {
    await expect(start({ socket: join(root, "a".repeat(120)) })).rejects.toThrow("ENAMETOOLONG");
  });

  test("answers invalid HTTP with an error of the API", async () => {
    await start();
    const text = await new Promise<string>((resolve, reject) => {
      let received = "";
      const connection = connect(socket, () => connection.write("garbage\r\n\r\n"));
      connection.setEncoding("utf8").on("data", (chunk: string) => {
        received += chunk;
      });
      connection.on("end", () => resolve(received));
      connection.on("error", reject);
    });
    const [head = "", body = ""] = text.split("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1.1 400 /);
    expect(JSON.parse(body).error).toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/^read request: /),
    });
  });

  test("closes by signal, and an aborted one starts nothing", async () => {
    const controller = new AbortController();
    const { server } = await start({ signal: controller.signal });
    controller.abort();
    await server.close();
    await expect(stat(socket)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(start({ signal: controller.signal })).rejects.toThrow();
  });
});

describe("the client", () => {
  test("has a timeout for an agent that does not answer", async () => {
    const path = join(root, "frozen.sock");
    const frozen = createServer(() => {});
    await new Promise<void>((resolve) => frozen.listen(path, resolve));
    const call = new Client({ socket: path, patience: 50 }).status();
    await expect(call).rejects.toMatchObject({ code: "ETIMEDOUT", message: expect.stringContaining("no answer in") });
    frozen.close();
  });

  test("reads every kind", async () => {
    const { client } = await start();
    for (const kind of [
      "pods",
      "limits",
      "impairments",
      "programs",
      "ports",
      "chains",
      "drops",
      "problems",
      "endpoints",
    ] as const) {
      expect(await client.list(kind)).toEqual([]);
    }
    expect(await client.doctor()).toMatchObject({ ok: true });
    expect(await client.topology()).toMatchObject({ kind: "Topology", metadata: { name: "node-1" } });
    expect(await client.metrics()).toContain("weir_build_info");
  });

  test("makes and removes endpoints", async () => {
    const { client } = await start();
    const made = await client.putEndpoint("shop", "web-0", { uid: "a", netns: "/run/netns/x" });
    expect(made).toMatchObject({ node: "node-1", ifname: "eth0" });
    expect(await client.list("endpoints")).toEqual([made]);
    expect(await client.deleteEndpoint("shop", "web-0")).toBeUndefined();
    expect(await client.list("endpoints")).toEqual([]);
  });

  test("gives the agent's errors with code, status and path", async () => {
    const { client } = await start();
    const error = await client.putEndpoint("shop", "../web", { uid: "a", netns: "/x" }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: "invalid", status: 400, path: "name" });
  });

  test.each([
    ["nothing", async () => {}, /^connect to agent at .*: ENOENT \(is the agent running\? start it with/],
    [
      "a dead agent's socket",
      () => leaveStale(socket),
      /^connect to agent at .*: ECONNREFUSED \(is the agent running\?/,
    ],
  ])("says what to do about %s", async (_name, prepare, message) => {
    await mkdir(join(root, "run"));
    await prepare();
    await expect(new Client({ socket }).status()).rejects.toThrow(message);
  });

  test("reports that the agent ended during a call", async () => {
    await mkdir(join(root, "run"));
    const server = createServer((connection) => connection.once("data", () => connection.destroy()));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    await expect(new Client({ socket }).status()).rejects.toThrow("GET /v1/status: ECONNRESET (the agent ended during");
    await new Promise((resolve) => server.close(resolve));
  });

  test("ends by signal", async () => {
    const { backend } = await start();
    backend.pods = () => new Promise(() => {});
    const controller = new AbortController();
    const pending = new Client({ socket, signal: controller.signal }).list("pods");
    setTimeout(() => controller.abort(), 20);
    await expect(pending).rejects.toMatchObject({ code: "ABORT_ERR" });
  });
});

describe("the metrics address", () => {
  test("only serves /metrics and /healthz", async () => {
    const { backend, server } = await start({ metricsAddress: "127.0.0.1:0" });
    const fetch = (path: string) => read(`http://${server.metricsAddress}${path}`);
    expect(await fetch("/metrics")).toMatchObject([200, expect.stringContaining("weir_build_info{")]);
    expect(await fetch("/healthz")).toEqual([200, "ready\n"]);
    backend.state.status.state = "starting";
    expect(await fetch("/healthz")).toEqual([503, "starting\n"]);
    for (const path of ["/v1/pods", "/openapi.json", "/", "/metrics/../v1/pods"]) {
      expect((await fetch(path))[0]).toBe(404);
    }
    expect((await read(`http://${server.metricsAddress}/metrics`, "PUT"))[0]).toBe(405);
  });

  test.each(["", "9095", "localhost:", "a:b", "127.0.0.1:99999", "1:2:3"])(
    "%j is refused, and nothing is left",
    async (metricsAddress) => {
      await expect(start({ metricsAddress })).rejects.toThrow(`listen on ${metricsAddress}: not HOST:PORT`);
      await expect(stat(socket)).rejects.toMatchObject({ code: "ENOENT" });
    },
  );

  test("in use is refused, and nothing is left", async () => {
    const { server } = await start({ metricsAddress: "127.0.0.1:0" });
    const second = join(root, "second.sock");
    await expect(start({ socket: second, metricsAddress: server.metricsAddress })).rejects.toThrow("EADDRINUSE");
    await expect(stat(second)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

/** A socket file without a listener: node removes it on close, so it is linked away first. */
async function leaveStale(path: string): Promise<void> {
  const { link, unlink } = await import("node:fs/promises");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.live`, resolve));
  await link(`${path}.live`, path);
  await new Promise((resolve) => server.close(resolve));
  await unlink(`${path}.live`).catch(() => {});
}

function read(url: string, method = "GET"): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname } = new URL(url);
    const raw = url.slice(url.indexOf("/", 7));
    const outgoing = get({ hostname, port, path: raw || pathname, method }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("end", () => resolve([incoming.statusCode ?? 0, text]));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}
