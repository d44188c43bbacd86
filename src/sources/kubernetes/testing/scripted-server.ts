import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { KubernetesConfig } from "../config.ts";

export interface Seen {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: IncomingMessage["headers"];
  body: unknown;
}

/** Answers one request. */
export type Step = (response: ServerResponse, request: Seen) => void;

/**
 * An API server on 127.0.0.1 that answers by script: each path has a list of steps, one per request; the last is
 * repeated.
 */
export interface ScriptedServer {
  config: KubernetesConfig;
  seen: Seen[];
  /** Number of open connections. */
  open(): number;
  close(): Promise<void>;
}

export async function scriptedServer(script: Readonly<Record<string, Step[]>>): Promise<ScriptedServer> {
  const seen: Seen[] = [];
  const sockets = new Set<object>();
  const turns = new Map<string, number>();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://x");
    const text = (await request.toArray()).join("");
    const query = Object.fromEntries(url.searchParams);
    const { method = "", headers } = request;
    const one: Seen = { method, path: url.pathname, query, headers, body: text ? JSON.parse(text) : undefined };
    seen.push(one);
    const key = query["watch"] ? `watch ${url.pathname}` : `${method} ${url.pathname}`;
    const steps = script[key] ?? [];
    const turn = turns.get(key) ?? 0;
    turns.set(key, turn + 1);
    const step = steps[Math.min(turn, steps.length - 1)] ?? status(501, "NotInScript", key);
    step(response, one);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    config: { server: `http://127.0.0.1:${port}`, origin: "test", namespace: "default", tls: { insecure: false } },
    seen,
    open: () => sockets.size,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

export const json =
  (body: unknown, code = 200, headers: Record<string, string> = {}): Step =>
  (response) => {
    response.writeHead(code, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };

/** A failure in Kubernetes' format. */
export const status = (code: number, reason: string, message = reason, headers: Record<string, string> = {}): Step =>
  json({ kind: "Status", status: "Failure", code, reason, message }, code, headers);

/** A list of objects, or a page of it. */
export const list = (items: unknown[], resourceVersion: string, next?: string): Step =>
  json({ kind: "List", metadata: { resourceVersion, ...(next && { continue: next }) }, items });

/** Resets the connection, before or during the answer. */
export const reset: Step = (response) => void response.socket?.resetAndDestroy();

/** Never answers. */
export const silence: Step = () => {};

export type End = "end" | "hold" | "reset";

/** A watch with these lines (strings are sent unchanged), which then ends, is reset, or stays open. */
export const stream =
  (lines: readonly unknown[], end: End): Step =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const text = lines.map((one) => (typeof one === "string" ? one : `${JSON.stringify(one)}\n`)).join("");
    if (text !== "") response.write(text);
    if (end === "end") response.end();
    if (end === "reset") setTimeout(() => response.socket?.resetAndDestroy(), 20);
  };

export const pod = (name: string, resourceVersion: string, more: object = {}) => ({
  metadata: { name, namespace: "default", uid: `u-${name}`, resourceVersion },
  spec: { nodeName: "n1", containers: [{ name: "c" }] },
  ...more,
});
export const event = (type: string, object: unknown) => ({ type, object });
export const bookmark = (resourceVersion: string) => event("BOOKMARK", { metadata: { resourceVersion } });
