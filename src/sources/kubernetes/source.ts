import { objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { apiVersion } from "../../model/version.ts";
import type { ManifestSnapshot } from "../manifests/merge.ts";
import type { ManifestWatch, Trouble } from "../manifests/watch.ts";
import type { KubernetesClient } from "./client.ts";
import { FOLLOWED, type Followed } from "./followed.ts";
import { type ObjectStatus, type ReadObject, readObject } from "./objects.ts";
import { Reflector, type ReflectorTimes } from "./reflector.ts";

export interface KubernetesSourceOptions {
  client: Pick<KubernetesClient, "list" | "watch" | "server" | "trouble">;
  /** Called after changes. `keys` are `Kind/namespace/name`; empty: only problems changed. */
  onChange(keys: ReadonlySet<string>): void;
  signal?: AbortSignal | undefined;
  /** Events within this time are one change, ms. */
  settle?: number | undefined;
  times?: Partial<ReflectorTimes & SourceTimes> | undefined;
}

interface SourceTimes {
  /** Interval at which the files that describe the API are checked without a request, ms. */
  files: number;
}

export interface KubernetesWatch extends ManifestWatch {
  /** Status and metadata of Limits and Impairments, as last read. */
  statuses(): ObjectStatus[];
}

/**
 * A Kubernetes API as a source, with the interface of a manifest folder. During an outage the last state is kept.
 * `synced` only rejects if the source is closed before: an API that does not answer is waited for, and is a problem in
 * `snapshot().problems`. Pods of all nodes are followed, since rules select peers by labels.
 */
export function watchKubernetes(options: KubernetesSourceOptions): KubernetesWatch {
  return new KubernetesSource(options);
}

const FILES = 10_000;

class KubernetesSource implements KubernetesWatch {
  readonly synced: Promise<void>;
  readonly #options: KubernetesSourceOptions;
  readonly #followed: readonly { resource: Followed; reflector: Reflector<ReadObject> }[];
  /** Problems of objects by kind and name; objects without any are not in it. */
  readonly #problems = new Map<string, Map<string, readonly Problem[]>>();
  #snapshot: ManifestSnapshot | undefined;
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  readonly #files: NodeJS.Timeout;
  #access: string | undefined;
  #closed = false;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#followed = FOLLOWED.map((resource) => ({ resource, reflector: this.#follow(resource) }));
    this.synced = Promise.all(this.#followed.map((one) => one.reflector.synced)).then(() => {});
    // nobody has to wait for this promise, so its rejection must not be unhandled
    this.synced.catch(() => {});
    this.#files = setInterval(() => this.#lookAtFiles(), options.times?.files ?? FILES);
    this.#files.unref();
    const { signal } = options;
    if (signal?.aborted) void this.close();
    signal?.addEventListener("abort", () => void this.close(), { once: true });
  }

  snapshot(): ManifestSnapshot {
    this.#snapshot ??= this.#collect();
    return this.#snapshot;
  }

  object(key: string): ManifestObject | undefined {
    const slash = key.indexOf("/");
    const followed = this.#followed.find(({ resource }) => resource.kind === key.slice(0, slash));
    return followed?.reflector.objects.get(key.slice(slash + 1))?.object;
  }

  get size(): number {
    return this.#followed.reduce((sum, { reflector }) => sum + reflector.objects.size, 0);
  }

  problems(): Problem[] {
    const problems: Problem[] = this.troubles().map(({ staleSince: _, ...problem }) => problem);
    for (const { resource, reflector } of this.#followed) {
      if (reflector.absent) problems.push(this.#absence(resource));
      for (const found of this.#problems.get(resource.kind)?.values() ?? []) problems.push(...found);
    }
    return problems;
  }

  troubles(): Trouble[] {
    const { trouble, server } = this.#options.client;
    const late = this.#followed.flatMap(({ resource, reflector }) => {
      if (reflector.trouble === undefined) return [];
      const message = `${reflector.trouble}; the last state stays`;
      const object = this.#nameOf(resource.plural);
      return [{ object, message, severity: "warning" as const, staleSince: reflector.troubledSince }];
    });
    return trouble === undefined ? late : [{ object: server, message: trouble, severity: "warning" }, ...late];
  }

  statuses(): ObjectStatus[] {
    const own = this.#followed.filter(({ resource }) => resource.apiVersion === apiVersion);
    return own.flatMap(({ reflector }) => [...reflector.objects.values()].flatMap(({ standing }) => standing ?? []));
  }

  async close(): Promise<void> {
    this.#end();
    await Promise.all(this.#followed.map((one) => one.reflector.close()));
  }

  #follow(resource: Followed): Reflector<ReadObject> {
    const { client, times } = this.#options;
    const { kind, optional } = resource;
    return new Reflector({
      client,
      resource,
      optional,
      times,
      read: (raw, before) => readObject(resource, raw, before),
      onChange: (keys) => this.#change(kind, keys),
    });
  }

  #change(kind: string, keys: ReadonlySet<string>): void {
    this.#snapshot = undefined;
    for (const key of keys) {
      this.#changed.add(`${kind}/${key}`);
      this.#readProblems(kind, key);
    }
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => this.#tell(), this.#options.settle ?? 10);
  }

  #readProblems(kind: string, key: string): void {
    const followed = this.#followed.find(({ resource }) => resource.kind === kind);
    const problems = followed?.reflector.objects.get(key)?.problems ?? [];
    const known = this.#problems.get(kind) ?? new Map<string, readonly Problem[]>();
    this.#problems.set(kind, known);
    if (problems.length > 0) known.set(key, problems);
    else known.delete(key);
  }

  #tell(): void {
    this.#timer = undefined;
    const changed = this.#changed;
    this.#changed = new Set();
    this.#options.onChange(changed);
  }

  #end(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#files);
  }

  /** Requests check the files too, but a watch may last for minutes. */
  #lookAtFiles(): void {
    const { trouble } = this.#options.client;
    if (trouble === this.#access) return;
    this.#access = trouble;
    this.#change("", new Set());
  }

  #collect(): ManifestSnapshot {
    const objects = new Map<string, ManifestObject>();
    for (const { reflector } of this.#followed) {
      for (const one of reflector.objects.values()) {
        if (one.object) objects.set(objectKey(one.object.kind, one.object.metadata), one.object);
      }
    }
    const sorted = [...objects].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return { objects: sorted.map(([, object]) => object), problems: this.problems() };
  }

  #absence({ kind, plural }: Followed): Problem {
    const message = `the API does not know ${kind} of ${apiVersion}: none is in force until its definition is there`;
    return { object: this.#nameOf(plural), message, severity: "skipped" };
  }

  #nameOf(plural: string): string {
    return `${this.#options.client.server}/${plural}`;
  }
}
