import { request } from "node:http";
import type { ObjectName } from "./backend.ts";
import type { ListName } from "./kinds.ts";
import type * as schema from "./schemas.ts";
import type { Topology } from "./topology.ts";

export interface ClientOptions {
  /** Path of the agent's unix socket. */
  socket: string;
  /** Ends every request of this client. */
  signal?: AbortSignal | undefined;
  /** Timeout of a request without any data, ms. The kernel accepts connections of a frozen agent too. */
  patience?: number | undefined;
}

const PATIENCE = 60_000;

/** An agent's error, or why there was no answer. `code` is the API's, or the system's (`ENOENT`). */
export class ClientError extends Error {
  readonly code: string;
  readonly status: number | undefined;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(
    code: string,
    message: string,
    details: {
      status?: number | undefined;
      path?: string | undefined;
      hint?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = "ClientError";
    this.code = code;
    this.status = details.status;
    this.path = details.path;
    this.hint = details.hint;
  }
}

/** Typed calls of one agent. Every method rejects with `ClientError`. */
export class Client {
  readonly socket: string;
  readonly #signal: AbortSignal | undefined;
  readonly #patience: number;

  constructor(options: ClientOptions) {
    this.socket = options.socket;
    this.#signal = options.signal;
    this.#patience = options.patience ?? PATIENCE;
  }

  status(): Promise<schema.Status> {
    return this.#call("GET", "/v1/status");
  }

  doctor(): Promise<schema.Doctor> {
    return this.#call("GET", "/v1/doctor");
  }

  topology(): Promise<Topology> {
    return this.#call("GET", "/v1/topology");
  }

  /** The receipts of all limits and impairments. */
  async receipts(): Promise<(schema.Items["limits"] | schema.Items["impairments"])[]> {
    return (await Promise.all([this.list("limits"), this.list("impairments")])).flat();
  }

  /** The items of a kind, e.g. `list("pods")`. */
  async list<K extends ListName>(kind: K): Promise<schema.Items[K][]> {
    const { items } = await this.#call<{ items: schema.Items[K][] }>("GET", `/v1/${kind}`);
    return items;
  }

  /** Attaches a pod; resolves once its network is in force. Default of `ifname`: `eth0`. */
  putEndpoint(
    namespace: string,
    name: string,
    spec: { uid: string; netns: string; ifname?: string | undefined; sandbox?: string | undefined },
  ): Promise<schema.Endpoint> {
    return this.#call("PUT", endpointPath(namespace, name), spec);
  }

  /** Detaches a pod; resolves once its network is removed. Succeeds if there is no endpoint, or only one that is not `which`. */
  deleteEndpoint(namespace: string, name: string, which: schema.EndpointWhich = {}): Promise<void> {
    const query = new URLSearchParams(Object.entries(which).filter(([, value]) => value !== undefined));
    return this.#call("DELETE", `${endpointPath(namespace, name)}${query.size > 0 ? `?${query}` : ""}`);
  }

  /**
   * Creates or changes objects from their manifests, all or none; resolves once they are in force, or, in a dry run, with
   * what would happen.
   */
  async putObjects(items: readonly unknown[], { dryRun = false } = {}): Promise<schema.ObjectChange[]> {
    const path = dryRun ? "/v1/objects?dryRun=true" : "/v1/objects";
    return (await this.#call<{ items: schema.ObjectChange[] }>("PUT", path, { items })).items;
  }

  /** Deletes an applied object; resolves once that is in force. Succeeds if it is missing. */
  deleteObject({ kind, namespace, name }: ObjectName): Promise<void> {
    const parts = [kind, ...(namespace ? [namespace] : []), name].map(encodeURIComponent);
    return this.#call("DELETE", `/v1/objects/${parts.join("/")}`);
  }

  /** The Prometheus text exposition. */
  async metrics(): Promise<string> {
    return (await this.#send("GET", "/metrics")).body;
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
    if (answer.body === "") return undefined as T;
    return parse(method, path, answer.body) as T;
  }

  #send(method: string, path: string, body?: string): Promise<{ status: number; body: string }> {
    const { socket: socketPath } = this;
    const headers =
      body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      let connected = false;
      const fail = (error: NodeJS.ErrnoException): void =>
        reject(connected ? broken(method, path, error) : unreachable(socketPath, error));
      const outgoing = request(
        { socketPath, method, path, headers, agent: false, signal: this.#signal, timeout: this.#patience },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", fail);
          incoming.on("end", () => {
            const status = incoming.statusCode ?? 0;
            const text = Buffer.concat(chunks).toString("utf8");
            if (status < 400) resolve({ status, body: text });
            else reject(refused(method, path, status, text));
          });
        },
      );
      outgoing.on("socket", (socket) => {
        socket.once("connect", () => {
          connected = true;
        });
      });
      outgoing.on("timeout", () => {
        const text = `no answer in ${this.#patience / 1000} s`;
        outgoing.destroy(Object.assign(new Error(text), { code: "ETIMEDOUT" }));
      });
      outgoing.on("error", fail);
      outgoing.end(body);
    });
  }
}

function endpointPath(namespace: string, name: string): string {
  return `/v1/endpoints/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

function parse(method: string, path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ClientError("answer", `${method} ${path}: the answer is no JSON`, { cause });
  }
}

const hints: Readonly<Record<string, string>> = {
  ENOENT:
    "is the agent running? start it with `weir agent`, or a lab with `weir lab up`; `--socket` and `--lab` choose another",
  ECONNREFUSED: "is the agent running? start it with `weir agent`; the socket is left from one that has ended",
  EACCES: "only root may talk to the agent: try sudo",
};

function unreachable(socket: string, cause: NodeJS.ErrnoException): ClientError {
  const code = cause.code ?? cause.name;
  const hint = hints[code];
  return new ClientError(code, `connect to agent at ${socket}: ${code}${hint ? ` (${hint})` : ""}`, { cause });
}

function broken(method: string, path: string, cause: NodeJS.ErrnoException): ClientError {
  const code = cause.code ?? cause.name;
  const whys: Readonly<Record<string, string>> = {
    ECONNRESET: " (the agent ended during the call)",
    ETIMEDOUT: ` (${cause.message}: is the agent stopped?)`,
  };
  const why = whys[code] ?? "";
  return new ClientError(code, `${method} ${path}: ${code}${why}`, { cause });
}

function refused(method: string, path: string, status: number, text: string): ClientError {
  const body = readError(text);
  if (!body) return new ClientError("answer", `${method} ${path}: status ${status}`, { status });
  const { code, message, hint } = body;
  return new ClientError(code, message, { status, path: body.path, hint });
}

function readError(text: string): schema.ErrorBody["error"] | undefined {
  try {
    return (JSON.parse(text) as Partial<schema.ErrorBody>).error;
  } catch {
    return undefined;
  }
}
