import type { IncomingMessage } from "node:http";
import { version } from "../../model/version.ts";
import type { Access } from "./access.ts";
import type { KubernetesConfig } from "./config.ts";
import { Connections } from "./connections.ts";
import { ApiStatusError, ConnectionError, isRecord, secondsOf } from "./errors.ts";
import { jsonLines, readBody } from "./json-lines.ts";
import { type RawObject, type Resource, resourcePath, type Target } from "./resource.ts";

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Timeout of the whole call, ms. */
  timeout?: number | undefined;
}

export interface ListOptions extends CallOptions {
  namespace?: string | undefined;
  fieldSelector?: string | undefined;
  labelSelector?: string | undefined;
  /** The most items per page; without it one page has all. */
  limit?: number | undefined;
  /** From the previous page. */
  continue?: string | undefined;
}

export interface ListPage {
  items: RawObject[];
  resourceVersion: string;
  /** Undefined on the last page. */
  continue: string | undefined;
}

export interface WatchOptions {
  namespace?: string | undefined;
  fieldSelector?: string | undefined;
  /** Only events after this version. */
  resourceVersion: string;
  /** Time after which the server ends the watch, seconds. */
  seconds: number;
  /** A connection without a byte for this long is considered dead, ms. */
  silence: number;
  /** Called once the server has accepted the watch. */
  onOpen?: (() => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  /** For `ERROR`, a Status. */
  object: Record<string, unknown>;
}

export interface WriteOptions extends CallOptions {
  /** The server validates but stores nothing. */
  dryRun?: boolean | undefined;
}

export interface ApplyOptions extends WriteOptions {
  fieldManager: string;
  /** Takes over fields that others manage. */
  force?: boolean | undefined;
}

/** Options of a call without a method of its own here. */
export interface RequestOptions extends CallOptions {
  body?: object | undefined;
  /** Content type of `body`; default: JSON. */
  type?: string | undefined;
}

interface Call extends CallOptions {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  type?: string | undefined;
}

const TIMEOUT = 30_000;
const TYPES = new Set(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]);

/**
 * A Kubernetes API over HTTP/1.1 with kept connections. Each request uses the present certificates, token and server.
 * Methods reject with ApiStatusError (the server refused), ConnectionError (no valid answer), or the signal's reason.
 */
export class KubernetesClient {
  readonly #access: Access;
  #config: KubernetesConfig;
  #connections: Connections;

  constructor(access: Access) {
    this.#access = access;
    this.#config = access.current();
    this.#connections = new Connections(this.#config);
  }

  get server(): string {
    return this.#config.server;
  }

  /** Why the files that describe the API are unusable now. Reads them. */
  get trouble(): string | undefined {
    this.#refresh();
    return this.#access.trouble;
  }

  /** One page of a collection in its newest state. */
  async list(resource: Resource, options: ListOptions = {}): Promise<ListPage> {
    const { namespace, fieldSelector, labelSelector, limit, continue: from, ...call } = options;
    const query = { fieldSelector, labelSelector, limit, continue: from };
    const path = resourcePath(resource, { namespace });
    const answer = await this.#call({ method: "GET", path, query, ...call });
    const { items, metadata } = answer;
    const { resourceVersion, continue: next } = isRecord(metadata) ? metadata : {};
    if (
      (items !== null && !Array.isArray(items)) ||
      typeof resourceVersion !== "string" ||
      !(items ?? []).every(isObject)
    )
      throw this.#nonsense("GET", path, "no list of objects");
    return { items: items ?? [], resourceVersion, continue: typeof next === "string" && next ? next : undefined };
  }

  /**
   * Follows a collection until the server ends the watch. Throws if the connection breaks, is silent for too long, or
   * is aborted.
   */
  async *watch(resource: Resource, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const { namespace, fieldSelector, resourceVersion, seconds, silence, signal } = options;
    const query = { watch: true, allowWatchBookmarks: true, fieldSelector, resourceVersion, timeoutSeconds: seconds };
    const path = resourcePath(resource, { namespace });
    const what = `watch ${path}`;
    const response = await this.#send({ method: "GET", path, query, signal, timeout: Math.min(silence, TIMEOUT) });
    options.onOpen?.();
    for await (const line of jsonLines(response, { what, silence, signal })) {
      const { type, object } = isRecord(line) ? line : {};
      if (typeof type !== "string" || !TYPES.has(type) || !isRecord(object))
        throw this.#nonsense("watch", path, "no event");
      yield { type: type as WatchEvent["type"], object };
    }
  }

  async get(resource: Resource, target: Target & { name: string }, options: CallOptions = {}): Promise<RawObject> {
    return this.#object({ method: "GET", path: resourcePath(resource, target), ...options });
  }

  async create(resource: Resource, target: Target, body: object, options: WriteOptions = {}): Promise<RawObject> {
    const { dryRun, ...call } = options;
    const query = { dryRun: dryRun ? "All" : undefined };
    return this.#object({ method: "POST", path: resourcePath(resource, target), query, body, ...call });
  }

  /** Server-side apply: `fieldManager` will manage exactly the fields in `body`. */
  async apply(
    resource: Resource,
    target: Target & { name: string },
    body: object,
    options: ApplyOptions,
  ): Promise<RawObject> {
    const { dryRun, fieldManager, force = false, ...call } = options;
    const query = { fieldManager, force, dryRun: dryRun ? "All" : undefined };
    // JSON is YAML; every server version accepts this content type
    const type = "application/apply-patch+yaml";
    return this.#object({ method: "PATCH", path: resourcePath(resource, target), query, body, type, ...call });
  }

  /** JSON merge patch (RFC 7386): maps are merged, lists replaced, `null` removes. */
  async patch(
    resource: Resource,
    target: Target & { name: string },
    body: object,
    options: WriteOptions = {},
  ): Promise<RawObject> {
    const { dryRun, ...call } = options;
    const query = { dryRun: dryRun ? "All" : undefined };
    const type = "application/merge-patch+json";
    return this.#object({ method: "PATCH", path: resourcePath(resource, target), query, body, type, ...call });
  }

  async delete(resource: Resource, target: Target & { name: string }, options: WriteOptions = {}): Promise<void> {
    const { dryRun, ...call } = options;
    const query = { dryRun: dryRun ? "All" : undefined };
    await this.#call({ method: "DELETE", path: resourcePath(resource, target), query, ...call });
  }

  /** Any other call, by path and query: subresources, other patches. Returns the answer's JSON. */
  request(method: Call["method"], path: string, options: RequestOptions = {}): Promise<Record<string, unknown>> {
    return this.#call({ method, path, ...options });
  }

  /** Closes all connections. */
  close(): void {
    this.#connections.close();
  }

  /** Takes over a changed configuration. */
  #refresh(): void {
    const config = this.#access.current();
    if (config === this.#config) return;
    this.#config = config;
    if (this.#connections.serves(config)) return;
    this.#connections.retire(config.server);
    this.#connections = new Connections(config);
  }

  async #object(call: Call): Promise<RawObject> {
    const answer = await this.#call(call);
    if (!isObject(answer)) throw this.#nonsense(call.method, call.path, "no object");
    return answer;
  }

  async #call(call: Call): Promise<Record<string, unknown>> {
    const { timeout = TIMEOUT, signal, method, path } = call;
    const end = performance.now() + timeout;
    const response = await this.#send(call);
    const what = `${method} ${path}`;
    const text = await readBody(response, { what, timeout: end - performance.now(), signal });
    const answer = parse(text);
    if (!isRecord(answer)) throw this.#nonsense(method, path, "no JSON object");
    return answer;
  }

  /** Resolves with the head of a successful answer. The caller consumes the body. */
  async #send(call: Call): Promise<IncomingMessage> {
    const { method, path, timeout = TIMEOUT, signal } = call;
    this.#refresh();
    const what = `${method} ${path} at ${this.server}`;
    const response = await this.#head(call, what).catch((error: unknown) => {
      // The server may have just closed a kept connection; repeating a read is safe.
      if (method === "GET" && error instanceof ConnectionError && error.cause === STALE) return this.#head(call, what);
      throw error;
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const body = await readBody(response, { what, timeout, signal });
    throw new ApiStatusError(what, status, parse(body), secondsOf(response.headers["retry-after"]));
  }

  #head({ method, path, query = {}, body, type = "application/json", signal, timeout = TIMEOUT }: Call, what: string) {
    const { token } = this.#config;
    const { send, agent } = this.#connections;
    const url = new URL(`${this.server}${path}`);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, `${value}`);
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      accept: "application/json",
      "user-agent": `weir/${version}`,
      ...(token && { authorization: `Bearer ${token}` }),
      ...(payload && { "content-type": type, "content-length": payload.length }),
    };
    return new Promise<IncomingMessage>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const request = send(url, { method, headers, agent });
      const abort = (): void => void request.destroy(signal?.reason);
      const late = new ConnectionError(what, "ETIMEDOUT", `no answer within ${timeout} ms`);
      const timer = setTimeout(() => request.destroy(late), timeout);
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      signal?.addEventListener("abort", abort, { once: true });
      request.once("close", done);
      request.once("response", (response) => {
        done();
        resolve(response);
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        if (signal?.aborted) return reject(signal.reason);
        if (error === late) return reject(late);
        const stale = request.reusedSocket && error.code === "ECONNRESET";
        reject(new ConnectionError(what, error.code ?? "EPROTO", error.message, stale ? STALE : error));
      });
      request.end(payload);
    });
  }

  #nonsense(method: string, path: string, reason: string): ConnectionError {
    return new ConnectionError(`${method} ${path} at ${this.server}`, "EPROTO", `the answer is ${reason}`);
  }
}

/** Cause of an error on a connection that was used before. */
const STALE = Symbol("a kept connection was closed");

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is RawObject {
  return isRecord(value) && isRecord(value["metadata"]) && typeof value["metadata"]["name"] === "string";
}
