import type { ServerResponse } from "node:http";
import type { ApiObject } from "./objects.ts";

/** Resource versions, shared by all collections of a server. */
export interface Versions {
  last: number;
}

interface Logged {
  version: number;
  line: string;
}

/** Number of events from which a watch can be resumed. */
const KEPT = 5000;
const BOOKMARK_MS = 60_000;
const JSON_TYPE = { "content-type": "application/json" };

const keyOf = ({ metadata: { namespace, name } }: ApiObject): string => (namespace ? `${namespace}/${name}` : name);

/** Objects of one kind, as JSON text. */
export class Collection {
  readonly #names: { kind: string; apiVersion: string };
  readonly #versions: Versions;
  readonly #texts = new Map<string, string>();
  readonly #log: Logged[] = [];
  readonly #watchers = new Set<ServerResponse>();
  readonly #bookmarks: NodeJS.Timeout;
  /** Events before this version are forgotten. */
  #oldest = 0;

  constructor(names: { kind: string; apiVersion: string }, versions: Versions) {
    this.#names = names;
    this.#versions = versions;
    this.#bookmarks = setInterval(() => this.#tell(this.#bookmark()), BOOKMARK_MS);
    this.#bookmarks.unref();
  }

  get size(): number {
    return this.#texts.size;
  }

  /** Adds initial objects, without events. */
  load(objects: readonly ApiObject[]): void {
    for (const object of objects) this.#texts.set(keyOf(object), this.#stamped(object));
  }

  /** Creates or replaces an object. Without a status the reported one is kept. */
  put(object: ApiObject): void {
    const key = keyOf(object);
    const text = this.#stamped("status" in object ? object : { ...object, ...this.#statusOf(key) });
    const type = this.#texts.has(key) ? "MODIFIED" : "ADDED";
    this.#texts.set(key, text);
    this.#happened(type, text);
  }

  remove(object: ApiObject): void {
    if (this.#texts.delete(keyOf(object))) this.#happened("DELETED", this.#stamped(object));
  }

  /** Stores a reported status, without field ownership. Returns the object; undefined if there is none. */
  report(key: string, status: object): string | undefined {
    const text = this.#texts.get(key);
    if (text === undefined) return undefined;
    const before = JSON.parse(text) as ApiObject;
    this.put({ ...before, status: { ...(before["status"] as object), ...status } });
    return this.#texts.get(key);
  }

  /** Answers with one page of the list, in order of creation. */
  list(query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get("continue") ?? 0);
    const limit = Number(query.get("limit") ?? Number.POSITIVE_INFINITY);
    const all = [...this.#texts.values()];
    const next = from + limit < all.length ? `,"continue":"${from + limit}"` : "";
    const { kind, apiVersion } = this.#names;
    const head = `{"kind":"${kind}List","apiVersion":"${apiVersion}"`;
    const metadata = `"metadata":{"resourceVersion":"${this.#versions.last}"${next}}`;
    response.writeHead(200, JSON_TYPE);
    response.end(`${head},${metadata},"items":[${all.slice(from, from + limit).join(",")}]}`);
  }

  watch(query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get("resourceVersion") ?? 0);
    response.writeHead(200, JSON_TYPE);
    response.flushHeaders();
    if (from < this.#oldest) {
      response.end(`{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}\n`);
      return;
    }
    for (const { version, line } of this.#log) if (version > from) response.write(line);
    this.#watchers.add(response);
    const end = setTimeout(() => response.end(), 1000 * Number(query.get("timeoutSeconds") ?? 300));
    end.unref();
    response.once("close", () => {
      clearTimeout(end);
      this.#watchers.delete(response);
    });
  }

  close(): void {
    clearInterval(this.#bookmarks);
  }

  #statusOf(key: string): { status?: unknown } {
    const text = this.#texts.get(key);
    const status: unknown = text && (JSON.parse(text) as ApiObject)["status"];
    return status ? { status } : {};
  }

  #stamped({ metadata, ...rest }: ApiObject): string {
    const { kind, apiVersion } = this.#names;
    const resourceVersion = String(++this.#versions.last);
    return JSON.stringify({ kind, apiVersion, metadata: { ...metadata, resourceVersion }, ...rest });
  }

  #happened(type: string, text: string): void {
    const line = `{"type":"${type}","object":${text}}\n`;
    this.#tell(line);
    this.#log.push({ version: this.#versions.last, line });
    if (this.#log.length > KEPT) this.#oldest = this.#log.shift()?.version ?? 0;
  }

  #bookmark(): string {
    const { kind, apiVersion } = this.#names;
    const metadata = { resourceVersion: String(this.#versions.last) };
    return `${JSON.stringify({ type: "BOOKMARK", object: { kind, apiVersion, metadata } })}\n`;
  }

  #tell(line: string): void {
    for (const watcher of this.#watchers) watcher.write(line);
  }
}
