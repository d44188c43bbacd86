import { objectKey } from "../../model/names.ts";
import type { ManifestObject, Namespace, RuleObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import {
  FOLLOWED,
  type ObjectStatus,
  type RawObject,
  type ReadObject,
  type Resource,
  readObject,
  readStatus,
  resourcePath,
} from "../../sources/kubernetes/index.ts";
import type { Feed, KubeApi } from "./api.ts";
import type { ApiObject } from "./objects.ts";

/** Pods and nodes of a lab on an API are followed elsewhere. */
const RULES = FOLLOWED.filter(({ kind }) => kind !== "Pod" && kind !== "Node");

interface Known {
  raw: object;
  read: ReadObject;
}

/** Objects of a Kubernetes API that affect pods' traffic. An invalid object keeps its last good state. */
export class ApiRules {
  readonly #feeds: readonly { resource: Resource; feed: Feed; known: Map<string, Known> }[];

  constructor(api: KubeApi, onChange: () => void) {
    this.#feeds = RULES.map((resource) => ({
      resource,
      feed: api.follow(resourcePath(resource), onChange, resource.optional),
      known: new Map<string, Known>(),
    }));
  }

  get synced(): boolean {
    return this.#feeds.every(({ feed }) => feed.synced);
  }

  /** Why rules may be out of date. */
  get troubles(): string[] {
    return this.#feeds.flatMap(({ feed }) => feed.trouble ?? []);
  }

  /** Kinds that the API does not know: their definitions are missing. */
  get absent(): string[] {
    return this.#feeds.filter(({ feed }) => feed.absent).map(({ resource }) => resource.kind);
  }

  /** Objects in the order of their keys, each the same one as before while nothing of it changes; and what is refused. */
  read(): { rules: (RuleObject | Namespace)[]; problems: Problem[]; statuses: ObjectStatus[] } {
    const all = this.#feeds.flatMap((one) => this.#readFeed(one));
    const objects = all.flatMap(({ object }) => (object !== undefined && isRule(object) ? [object] : []));
    const keyed = objects.map((object) => ({ key: objectKey(object.kind, object.metadata), object }));
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    return {
      rules: keyed.map(({ object }) => object),
      problems: all.flatMap(({ problems }) => problems),
      statuses: this.#feeds.flatMap(({ resource, feed }) =>
        feed.objects.flatMap((raw) => readStatus(resource.kind, { ...raw, metadata: { ...raw.metadata } }) ?? []),
      ),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#feeds.map(({ feed }) => feed.close()));
  }

  #readFeed({ resource, feed, known }: { resource: Resource; feed: Feed; known: Map<string, Known> }): ReadObject[] {
    const seen = new Set<string>();
    const result = feed.objects.map((raw) => {
      const key = `${raw.metadata.namespace ?? ""}/${raw.metadata.name}`;
      seen.add(key);
      const before = known.get(key);
      const read = before?.raw === raw ? before.read : readObject(resource, plain(raw), before?.read);
      known.set(key, { raw, read });
      return read;
    });
    for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    return result;
  }
}

/** Omits the resource version, which also changes with the status. */
function plain(raw: ApiObject): RawObject {
  const { resourceVersion: _, ...metadata } = raw.metadata;
  return { ...raw, metadata: { ...metadata } };
}

const KINDS = new Set(FOLLOWED.map(({ kind }) => kind));
const isRule = (object: ManifestObject): object is RuleObject | Namespace => KINDS.has(object.kind);
