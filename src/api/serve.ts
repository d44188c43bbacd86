import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Backend } from "./backend.ts";
import { ApiError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";
import { buildApp } from "./server.ts";
import { listenUnix } from "./socket.ts";

export interface ServeOptions {
  backend: Backend;
  /** Path of the unix socket, e.g. `/run/weir/agent.sock`. */
  socket: string;
  /** `HOST:PORT` that serves /metrics and /healthz only; default: none. Port 0 selects a free one. */
  metricsAddress?: string | undefined;
  /** Closes the server. */
  signal?: AbortSignal | undefined;
}

export interface ApiServer {
  metrics: Metrics;
  /** `HOST:PORT` of the metrics, with the selected port. */
  metricsAddress: string | undefined;
  /** Aborts running requests and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/** Serves the API of an agent. Throws `listen on …: CAUSE (hint)`. */
export async function serve(options: ServeOptions): Promise<ApiServer> {
  const { backend, socket, metricsAddress, signal } = options;
  signal?.throwIfAborted();
  const { app, metrics } = await buildApp(backend);
  const servers: Server[] = [app.server];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      await Promise.all(servers.map(closeServer));
      await app.close();
    })();
    return closing;
  };

  try {
    await listenUnix(app.server, socket);
    let bound: string | undefined;
    if (metricsAddress !== undefined) {
      const server = createServer((request, reply) => void answerMetrics(request, reply, backend, metrics));
      servers.push(server);
      bound = await listenTcp(server, metricsAddress);
    }
    signal?.addEventListener("abort", () => void close(), { once: true });
    if (signal?.aborted) await close();
    return { metrics, metricsAddress: bound, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function answerMetrics(
  request: IncomingMessage,
  reply: ServerResponse,
  backend: Backend,
  metrics: Metrics,
): Promise<void> {
  const send = (status: number, type: string, body: string): void => {
    reply.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
  };
  const text = "text/plain; charset=utf-8";
  const path = (request.url ?? "").split("?", 1)[0];
  try {
    if (request.method !== "GET") return send(405, text, "only GET\n");
    if (path === "/metrics") return send(200, metrics.contentType, await metrics.text());
    if (path !== "/healthz") return send(404, text, "only /metrics and /healthz\n");
    const { state } = await backend.status();
    return send(state === "starting" ? 503 : 200, text, `${state}\n`);
  } catch (error) {
    return send(500, text, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}

function listenTcp(server: Server, address: string): Promise<string> {
  const parsed = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:]*)):(?<port>\d{1,5})$/.exec(address)?.groups;
  const port = Number(parsed?.port);
  if (!parsed || port > 65535) {
    throw new ApiError("invalid", `listen on ${address}: not HOST:PORT`, { hint: "e.g. 127.0.0.1:9095, [::]:9095" });
  }
  const host = parsed.v6 || parsed.host || "::";
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new ApiError("refused", `listen on ${address}: ${error.code ?? error.message}`, { cause: error })),
    );
    server.listen({ host, port }, () => {
      const bound = server.address();
      const taken = typeof bound === "object" && bound ? bound.port : port;
      resolve(host.includes(":") ? `[${host}]:${taken}` : `${host}:${taken}`);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
