import { isDeepStrictEqual } from "node:util";
import { isForeign } from "../../model/look-alikes.ts";
import { objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { formatPath, judgeObject } from "../manifests/judge.ts";
import { KINDS } from "../manifests/schemas.ts";
import { type Fields, isFields } from "../manifests/types.ts";
import type { RawObject, Resource } from "./resource.ts";

/** An object of the API as it is kept. A refused one keeps its last valid state. */
export interface ReadObject {
  object: ManifestObject | undefined;
  problems: readonly Problem[];
  /** For kinds whose status Weir writes. */
  standing?: ObjectStatus | undefined;
}

/** Fields of an object that the API server manages. */
export interface ObjectStatus {
  kind: "Limit" | "Impairment";
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  /** As agents wrote it. */
  status: Readonly<Record<string, unknown>>;
}

/**
 * Reads an object with the schema for manifests, so that both give the same rows. Returns `before` itself if nothing
 * changed, so that results derived from it stay valid. Never throws.
 */
export function readObject({ kind, apiVersion }: Resource, raw: RawObject, before?: ReadObject): ReadObject {
  const known = KINDS.get(kind);
  if (!known) throw new TypeError(`there is no schema of ${kind}`);
  // items of a list have no kind and apiVersion
  const standing = readStatus(kind, raw);
  const fields: Fields = { ...(standing ? withoutStatus(raw) : withoutForeign(raw)), kind, apiVersion };
  const { key, object, findings } = judgeObject(kind, known, fields, "api");
  const named = key ?? objectKey(kind, { namespace: raw.metadata.namespace, name: raw.metadata.name });
  const isSame = object !== undefined && isDeepStrictEqual(object, before?.object);
  const next: ReadObject = {
    // a changed status keeps the identity of the object, so that results derived from it stay valid
    object: isSame ? before?.object : (object ?? before?.object),
    // the server has validated the fields; problems only say why an object is refused
    problems: object
      ? []
      : findings.map(({ field, message }) => ({
          object: named,
          path: formatPath(field),
          message: before?.object ? `${message}; the last good state stays` : message,
        })),
    ...(standing && { standing }),
  };
  return before && isDeepStrictEqual(before, next) ? before : next;
}

/** Undefined for kinds whose status Weir does not write. */
export function readStatus(kind: string, { metadata, status }: RawObject): ObjectStatus | undefined {
  if (kind !== "Limit" && kind !== "Impairment") return undefined;
  const { namespace = "", name, uid, resourceVersion = "", generation } = metadata;
  if (typeof uid !== "string" || typeof generation !== "number") return undefined;
  return { kind, namespace, name, uid, resourceVersion, generation, status: isFields(status) ? status : {} };
}

/** The author's part of an object: a report also changes its resourceVersion. */
function withoutStatus({ metadata, status: _, ...rest }: RawObject): Fields {
  const { resourceVersion: __, managedFields: ___, generation: ____, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

/**
 * Leaves out annotations of other tools, e.g. `kubectl.kubernetes.io/last-applied-configuration`: a pod may have many
 * kilobytes of them, and agents keep the pods of the whole cluster.
 */
function withoutForeign({ metadata, ...rest }: RawObject): Fields {
  const { annotations } = metadata;
  if (!isFields(annotations)) return { ...rest, metadata };
  const kept = Object.entries(annotations).filter(([key]) => !isForeign(key));
  return { ...rest, metadata: { ...metadata, annotations: Object.fromEntries(kept) } };
}
