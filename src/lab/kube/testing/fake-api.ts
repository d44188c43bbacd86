import { type RawObject, resourcePath } from "../../../sources/kubernetes/resource.ts";
import { ApiFailure, type Feed, type KubeApi } from "../api.ts";
import type { ApiObject } from "../objects.ts";

type Fields = Record<string, unknown>;

/** A Kubernetes API in memory: objects by path, watches of collections, and every write in `calls`. */
export class FakeApi implements KubeApi {
  readonly server = "https://fake";
  readonly objects = new Map<string, ApiObject & Fields>();
  readonly calls: { method: string; path: string; body?: unknown }[] = [];
  /** HTTP status of calls that fail, by method and path. */
  readonly failing = new Map<string, number>();
  /** Collections that the API does not know. */
  readonly absent = new Set<string>();
  /** Applies statuses; bodies are in `calls`. */
  readonly results: KubeApi["results"] = {
    apply: async (resource, target, body) => {
      const path = resourcePath(resource, target);
      await this.patch(path, body);
      return this.objects.get(path.replace(/\/status$/, "")) as RawObject;
    },
    create: async (resource, target, body) => (await this.post(resourcePath(resource, target), body)) as RawObject,
  };
  synced = true;
  readonly #watchers = new Set<() => void>();
  #version = 1;

  /** Writes an object as another client would. */
  put(path: string, object: object): void {
    const known = this.objects.get(path);
    const { metadata, ...rest } = object as ApiObject & Fields;
    const version = String(++this.#version);
    const merged = { uid: `uid-${version}`, ...known?.metadata, ...metadata, resourceVersion: version };
    this.objects.set(path, { ...known, ...rest, metadata: merged });
    this.notify();
  }

  remove(path: string): void {
    this.objects.delete(path);
    this.notify();
  }

  notify(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async get(path: string): Promise<unknown> {
    this.#check("GET", path);
    const [plain = "", query] = path.split("?");
    if (query === undefined) return this.objects.get(plain);
    const node = new URLSearchParams(query).get("fieldSelector")?.split("=")[1];
    return { items: this.#list(plain).filter((one) => (one["spec"] as Fields)["nodeName"] === node) };
  }

  async post(path: string, body: object): Promise<unknown> {
    this.calls.push({ method: "POST", path, body });
    this.#check("POST", path);
    if (path.endsWith("/binding")) {
      const pod = path.slice(0, -"/binding".length);
      const { target } = body as { target: { name: string } };
      const spec = this.objects.get(pod)?.["spec"] as Fields | undefined;
      this.put(pod, { spec: { ...spec, nodeName: target.name } });
      return {};
    }
    const { name = `generated-${this.#version}` } = (body as ApiObject).metadata;
    this.put(`${path}/${name}`, body);
    return this.objects.get(`${path}/${name}`);
  }

  async patch(path: string, body: object): Promise<unknown> {
    this.calls.push({ method: "PATCH", path, body });
    this.#check("PATCH", path);
    const own = path.replace(/\/status$/, "");
    const known = this.objects.get(own);
    if (known === undefined) throw new ApiFailure(`patch ${path}: not found`, 404);
    const { status } = body as { status?: Fields };
    this.put(own, status === undefined ? body : { status: merge(known["status"] as Fields | undefined, status) });
    return this.objects.get(own);
  }

  async delete(path: string, options?: object): Promise<void> {
    this.calls.push({ method: "DELETE", path, body: options });
    this.#check("DELETE", path);
    this.remove(path);
  }

  follow(path: string, onChange: () => void): Feed {
    this.#watchers.add(onChange);
    const self = this;
    return {
      get synced() {
        return self.synced;
      },
      get objects() {
        return self.#list(path);
      },
      trouble: undefined,
      absent: self.absent.has(path),
      close: async () => void this.#watchers.delete(onChange),
    };
  }

  /** Objects of a kind in every namespace. */
  #list(path: string): (ApiObject & Fields)[] {
    const kind = path.slice(path.lastIndexOf("/") + 1);
    return [...this.objects].filter(([key]) => key.split("/").at(-2) === kind).map(([, object]) => object);
  }

  #check(method: string, path: string): void {
    const status = this.failing.get(`${method} ${path}`);
    if (status !== undefined) throw new ApiFailure(`${method} ${path}: ${status}`, status);
  }
}

/** Merges a status as the API does: addresses by their type, unless they are to be replaced. */
function merge(known: Fields | undefined, status: Fields): Fields {
  const { addresses, ...rest } = status;
  if (addresses === undefined) return { ...known, ...rest };
  const list = addresses as Fields[];
  const plain = list.filter((one) => one["$patch"] === undefined);
  const byType = new Map(plain.map((one) => [one["type"], one]));
  return { ...known, ...rest, addresses: plain.length < list.length ? plain : [...byType.values()] };
}
