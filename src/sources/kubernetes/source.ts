import { objectKey } from "../../model/names.ts";
import type { ManifestObject, Problem } from "../../model/objects.ts";
import { apiVersion } from "../../model/version.ts";
import type { ManifestSnapshot } from "../manifests/merge.ts";
import type { ManifestWatch } from "../manifests/watch.ts";
import type { KubernetesClient } from "./client.ts";
import { type ReadObject, readObject, type Standing } from "./objects.ts";
import { Reflector, type ReflectorTimes } from "./reflector.ts";
import type { Resource } from "./resource.ts";

export interface KubernetesSourceOptions {
  client: Pick<KubernetesClient, "list" | "watch" | "server">;
  /** Called after changes. `keys` are `Kind/namespace/name`; empty if only problems changed. */
  onChange(keys: ReadonlySet<string>): void;
  signal?: AbortSignal | undefined;
  /** Events within this time are one change, ms. */
  settle?: number | undefined;
  times?: Partial<ReflectorTimes> | undefined;
}

export interface KubernetesWatch extends ManifestWatch {
  /** Limits and Impairments as the API last told of them. */
  standings(): Standing[];
}

interface Followed extends Resource {
  /** A CRD: the cluster may not have it. */
  optional?: boolean;
}

const FOLLOWED: readonly Followed[] = [
  { apiVersion: "v1", kind: "Pod", plural: "pods" },
  { apiVersion: "v1", kind: "Node", plural: "nodes" },
  { apiVersion: "v1", kind: "Namespace", plural: "namespaces" },
  { apiVersion: "v1", kind: "Service", plural: "services" },
  { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", plural: "endpointslices" },
  { apiVersion, kind: "Limit", plural: "limits", optional: true },
  { apiVersion, kind: "Impairment", plural: "impairments", optional: true },
];

/**
 * A Kubernetes API as a source, with the face of a manifest folder. What the API cannot tell for a while stays as it
 * was. `synced` rejects only if the source is closed before: an API that does not answer is waited for, and its
 * trouble is in `snapshot().problems` meanwhile.
 * Pods of all nodes are followed, since rules name peers by what pods they are.
 */
export function watchKubernetes(options: KubernetesSourceOptions): KubernetesWatch {
  return new KubernetesSource(options);
}

class KubernetesSource implements KubernetesWatch {
  readonly synced: Promise<void>;
  readonly #options: KubernetesSourceOptions;
  readonly #followed: readonly { resource: Followed; reflector: Reflector<ReadObject> }[];
  #snapshot: ManifestSnapshot | undefined;
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#followed = FOLLOWED.map((resource) => ({ resource, reflector: this.#follow(resource) }));
    this.synced = Promise.all(this.#followed.map((one) => one.reflector.synced)).then(() => {});
    // Whoever does not wait for it must not be killed by it.
    this.synced.catch(() => {});
    const { signal } = options;
    if (signal?.aborted) this.#end();
    signal?.addEventListener("abort", () => this.#end(), { once: true });
  }

  snapshot(): ManifestSnapshot {
    this.#snapshot ??= this.#collect();
    return this.#snapshot;
  }

  standings(): Standing[] {
    return this.#followed.flatMap(({ reflector }) =>
      [...reflector.objects.values()].flatMap(({ standing }) => standing ?? []),
    );
  }

  async close(): Promise<void> {
    this.#end();
    await Promise.all(this.#followed.map((one) => one.reflector.close()));
  }

  #follow(resource: Followed): Reflector<ReadObject> {
    const { client, signal, times } = this.#options;
    const { kind, optional } = resource;
    return new Reflector({
      client,
      resource,
      optional,
      signal,
      times,
      read: (raw, before) => readObject(resource, raw, before),
      onChange: (keys) => this.#change(kind, keys),
    });
  }

  #change(kind: string, keys: ReadonlySet<string>): void {
    this.#snapshot = undefined;
    for (const key of keys) this.#changed.add(`${kind}/${key}`);
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => this.#tell(), this.#options.settle ?? 10);
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
  }

  #collect(): ManifestSnapshot {
    const objects = new Map<string, ManifestObject>();
    const problems: Problem[] = [];
    for (const { resource, reflector } of this.#followed) {
      problems.push(...this.#problemsOf(resource, reflector));
      for (const one of reflector.objects.values()) {
        problems.push(...one.problems);
        if (one.object) objects.set(objectKey(one.object.kind, one.object.metadata), one.object);
      }
    }
    const sorted = [...objects].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return { objects: sorted.map(([, object]) => object), problems };
  }

  #problemsOf({ kind, plural }: Followed, { trouble, absent }: Reflector<ReadObject>): Problem[] {
    const object = `${this.#options.client.server}/${plural}`;
    if (trouble !== undefined) return [{ object, message: `${trouble}; the last state stays`, severity: "warning" }];
    if (!absent) return [];
    const message = `the API does not know ${kind} of ${apiVersion}: none is in force until its definition is there`;
    return [{ object, message, severity: "skipped" }];
  }
}
