import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Probe } from "../model/objects.ts";
import { attempt } from "./probe.ts";

/** A server in its own network namespace: probes must connect there. */
const SERVER = `
const { createServer } = require("node:http");
const server = createServer((ask, answer) => {
  if (ask.url === "/again") answer.writeHead(302, { location: "/again" });
  else if (ask.url === "/here") answer.writeHead(301, { location: "/good" });
  else if (ask.url === "/away") answer.writeHead(307, { location: "http://192.0.2.1/" });
  else if (ask.url === "/good") answer.writeHead(ask.headers["x-probe"] === "yes" ? 204 : 400);
  else if (ask.url === "/big") answer.write("x".repeat(1 << 20));
  else if (ask.url === "/hangs") return;
  else answer.writeHead(503);
  answer.end();
});
server.listen(0, "::", () => console.log(server.address().port));
`;
let server: ChildProcess;
let port = 0;
beforeAll(async () => {
  const inside = ["--net", "sh", "-c", 'ip link set lo up; exec "$0" -e "$1"', process.execPath, SERVER];
  server = spawn("unshare", inside, { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk] = await once(server.stdout as NodeJS.ReadableStream, "data");
  port = Number(String(chunk));
});
afterAll(() => server.kill("SIGKILL"));

const target = (ip: string) => ({
  container: { ...{ name: "c", command: [], args: [], env: [] }, ports: [{ name: "web", containerPort: port }] },
  ...{ init: 0, cgroup: "", homeCgroup: "", env: {} },
  netns: `/proc/${server.pid}/ns/net`,
  ip,
});
const times = {
  ...{ initialDelaySeconds: 0, timeoutSeconds: 1, periodSeconds: 1 },
  ...{ successThreshold: 1, failureThreshold: 1 },
};
const get = (path: string, rest: object = {}) => ({
  httpGet: { path, port: "web", scheme: "HTTP" as const, httpHeaders: [{ name: "X-Probe", value: "yes" }], ...rest },
});
const ask = (way: Partial<Probe>, { ip = "127.0.0.1", signal = new AbortController().signal } = {}) =>
  attempt(target(ip), { ...times, ...way }, signal).catch((error: Error) => `rejected: ${error.message}`);

describe("a probe connects from the node's network namespace", () => {
  it.each(["127.0.0.1", "::1"])("to %s by TCP and HTTP", async (ip) => {
    expect(await ask({ tcpSocket: { port: "web" } }, { ip })).toBeUndefined();
    expect(await ask(get("/good"), { ip })).toBeUndefined();
  });

  it("and never from the supervisor's own", async () => {
    const own = { ...target("127.0.0.1"), netns: "/proc/self/ns/net" };
    for (const way of [{ tcpSocket: { port } }, get("/good")]) {
      await expect(attempt(own, { ...times, ...way }, new AbortController().signal)).rejects.toThrow("ECONNREFUSED");
    }
  });

  it.each<[string, Partial<Probe>, string | undefined]>([
    ["a status that is none of success", get("/none"), "HTTP status 503"],
    ["a header that is asked for", get("/good", { httpHeaders: [] }), "HTTP status 400"],
    ["a redirect that is followed", get("/here"), undefined],
    ["a redirect elsewhere, which is not", get("/away"), undefined],
    ["redirects without end", get("/again"), "more than 10 redirects"],
    ["a body of which only the beginning is read", get("/big"), undefined],
    ["a port without a name", { tcpSocket: { port: "none" } }, "rejected: the container has no port none"],
    ["a closed port", { tcpSocket: { port: 1 } }, "rejected: connect ECONNREFUSED 127.0.0.1:1"],
    ["a name", get("/", { host: "example.com" }), 'rejected: "example.com" is no address, and names are not resolved'],
    ["plain text where TLS is", get("/good", { scheme: "HTTPS" }), expect.stringContaining("wrong version number")],
  ])("%s", async (_, way, expected) => expect(await ask(way)).toEqual(expected));

  it("and ends when it is aborted", async () => {
    const abort = new AbortController();
    const asked = ask(get("/hangs"), { signal: abort.signal });
    abort.abort();
    expect(await asked).toMatch(/^rejected: /);
  });
});
