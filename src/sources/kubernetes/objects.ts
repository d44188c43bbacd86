import { isDeepStrictEqual } from "node:util";
import { objectKey } from "../../model/names.ts";
import type { ManifestObject, Problem } from "../../model/objects.ts";
import { formatPath, judgeObject } from "../manifests/judge.ts";
import { KINDS } from "../manifests/schemas.ts";
import { type Fields, isFields } from "../manifests/types.ts";
import type { RawObject, Resource } from "./resource.ts";

/** What is kept of an object of the API. One that is refused keeps its last good state. */
export interface ReadObject {
  object: ManifestObject | undefined;
  problems: readonly Problem[];
  /** Of kinds whose status Weir writes. */
  standing?: Standing | undefined;
}

/** What the API says of an object besides what its author wrote. */
export interface Standing {
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
 * Reads an object with the schema that manifests are read with, so that both give the same rows. Gives `before` itself
 * if nothing has changed: whoever keeps results by object need not think again. Never throws.
 */
export function readObject({ kind, apiVersion }: Resource, raw: RawObject, before?: ReadObject): ReadObject {
  const known = KINDS.get(kind);
  if (!known) throw new TypeError(`there is no schema of ${kind}`);
  // The items of a list do not say what they are.
  const standing = readStanding(kind, raw);
  const fields: Fields = { ...(standing ? withoutStatus(raw) : raw), kind, apiVersion };
  const { key, object, findings } = judgeObject(kind, known, fields, "api");
  const named = key ?? objectKey(kind, { namespace: raw.metadata.namespace, name: raw.metadata.name });
  const isSame = object !== undefined && isDeepStrictEqual(object, before?.object);
  const next: ReadObject = {
    // Whoever keeps results by object need not think again if only its status is another.
    object: isSame ? before?.object : (object ?? before?.object),
    // The server has judged what fields there are; what is left to say is why an object is refused.
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

/** Undefined for kinds whose status is not Weir's. */
export function readStanding(kind: string, { metadata, status }: RawObject): Standing | undefined {
  if (kind !== "Limit" && kind !== "Impairment") return undefined;
  const { namespace = "", name, uid, resourceVersion = "", generation } = metadata;
  if (typeof uid !== "string" || typeof generation !== "number") return undefined;
  return { kind, namespace, name, uid, resourceVersion, generation, status: isFields(status) ? status : {} };
}

/** What its author wrote: a version changes with each report too. */
function withoutStatus({ metadata, status: _, ...rest }: RawObject): Fields {
  const { resourceVersion: __, managedFields: ___, generation: ____, ...kept } = metadata;
  return { ...rest, metadata: kept };
}
