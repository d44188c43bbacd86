import { homedir } from "node:os";
import { ApiStatusError, KubernetesClient, openAccess, type Resource } from "../sources/kubernetes/index.ts";
import { resourceOf } from "../sources/manifests/index.ts";

/** Kubernetes API operations of the command line: apply and delete objects of manifests. */

type Plain = Readonly<Record<string, unknown>>;

/**
 * An object before and after a change, without fields that the server manages. `before` is undefined for a new object.
 */
export interface ClusterChange {
  key: string;
  before?: object | undefined;
  after: object;
}

/** Field manager of `weir apply`. Fields of other managers are not overwritten. */
const MANAGER = "weir-apply";

/** @throws KubernetesConfigError if no API is configured */
export function openKubernetesApi(options: {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}): KubernetesApi {
  const access = openAccess({ ...options, home: options.env["HOME"] ?? homedir() });
  return new KubernetesApi(new KubernetesClient(access), access.current().namespace, options.signal);
}

export class KubernetesApi {
  /** Namespace of objects that name none. */
  readonly namespace: string;
  readonly #client: KubernetesClient;
  readonly #signal: AbortSignal;

  constructor(client: KubernetesClient, namespace: string, signal: AbortSignal) {
    this.#client = client;
    this.namespace = namespace;
    this.#signal = signal;
  }

  /** Server-side apply of one object. In a dry run the server validates and completes it without storing it. */
  async put(document: Plain, { dryRun }: { dryRun: boolean }): Promise<ClusterChange> {
    const { kind, resource, target } = this.#place(document);
    const before = await this.#get(resource, target);
    const metadata = { ...(document["metadata"] as object), ...(target.namespace && { namespace: target.namespace }) };
    const body = { ...document, metadata };
    const options = { fieldManager: MANAGER, dryRun, signal: this.#signal };
    const after = await this.#client.apply(resource, target, body, options).catch((error: unknown) => {
      throw readable(error);
    });
    const key = [kind, target.namespace, target.name].filter(Boolean).join("/");
    return { key, before: before && written(before), after: written(after) };
  }

  /** Deletes the object `Kind/namespace/name`. Returns false if there is none. */
  async remove(key: string, { dryRun }: { dryRun: boolean }): Promise<boolean> {
    const [kind = "", ...rest] = key.split("/");
    const metadata = rest.length > 1 ? { namespace: rest[0], name: rest[1] } : { name: rest[0] };
    const { resource, target } = this.#place({ kind, metadata });
    if (!(await this.#get(resource, target))) return false;
    await this.#client.delete(resource, target, { dryRun, signal: this.#signal });
    return true;
  }

  close(): void {
    this.#client.close();
  }

  #place(document: Plain) {
    const kind = String(document["kind"]);
    const found = resourceOf(kind);
    if (!found) throw new Error(`Weir knows no kind ${kind}`);
    const { namespaced, ...resource } = found;
    const { namespace = this.namespace, name } = document["metadata"] as { namespace?: string; name: string };
    return { kind, resource, target: namespaced ? { namespace, name } : { name } };
  }

  #get(resource: Resource, target: { namespace?: string; name: string }) {
    return this.#client.get(resource, target, { signal: this.#signal }).catch((error: unknown) => {
      if (error instanceof ApiStatusError && error.status === 404) return undefined;
      throw error;
    });
  }
}

/** Adds a hint to a conflict. Other errors keep the server's message. */
function readable(error: unknown): unknown {
  if (!(error instanceof ApiStatusError) || error.status !== 409) return error;
  return new Error(`${error.message} (edit it where it was made, or remove those fields from the manifest)`, {
    cause: error,
  });
}

/** Removes the fields that the server manages, and the status. */
function written(object: Plain): object {
  const { status: _, metadata, ...rest } = object;
  const kept = { ...(metadata as Record<string, unknown>) };
  for (const field of ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"])
    delete kept[field];
  return { ...rest, metadata: kept };
}
