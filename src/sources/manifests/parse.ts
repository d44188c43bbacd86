import type { z } from "zod";
import { checkLabelName, checkSubdomain, objectKey } from "../../model/names.ts";
import type { ManifestObject, Problem } from "../../model/objects.ts";
import { quote } from "../../model/text.ts";
import { type RawDocument, readDocuments } from "./document.ts";
import { UNUSED_POD_FIELDS } from "./pod.ts";
import { KINDS, type KindSchema } from "./schemas.ts";

/** An object and where it is written, `file:line:column`. */
export interface PlacedObject {
  key: string;
  object: ManifestObject;
  at: string;
}

/** What one file says. */
export interface ParsedFile {
  objects: readonly PlacedObject[];
  problems: readonly Problem[];
  /** Keys of objects that are written but wrong: their last good state stays. */
  refused: ReadonlySet<string>;
  /** False if something in the file could not even be named: then nothing that was in it counts as deleted. */
  complete: boolean;
}

interface Draft {
  objects: PlacedObject[];
  problems: Problem[];
  refused: Set<string>;
  complete: boolean;
}

type Read = Extract<RawDocument, { value: unknown }>;
type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads the text of a manifest file: YAML of one or more documents, or JSON. Never throws.
 * `file` is the name that positions and problems show.
 */
export function parseManifests(text: string, file: string): ParsedFile {
  const draft: Draft = { objects: [], problems: [], refused: new Set(), complete: true };
  for (const document of readDocuments(text, file)) {
    if ("problem" in document) {
      draft.complete = false;
      draft.problems.push({ object: file, message: document.problem, at: document.at });
    } else readItem(draft, document, document.value, [], file);
  }
  return draft;
}

function readItem(draft: Draft, document: Read, raw: unknown, path: PropertyKey[], file: string): void {
  const header = headerOf(raw);
  if ("message" in header) {
    draft.complete = false;
    draft.problems.push({ object: file, message: header.message, at: document.locate([...path, ...header.below]) });
    return;
  }
  const { kind, apiVersion, fields } = header;
  if (kind === "List" && apiVersion === "v1") {
    for (const [index, item] of header.items.entries())
      readItem(draft, document, item, [...path, "items", index], file);
    return;
  }
  const known = KINDS.get(kind);
  const at = document.locate(path);
  if (known?.apiVersion === apiVersion) readObject(draft, document, fields, path, { kind, known, file, at });
  else draft.problems.push(skipped(header, known, file, at));
}

interface Header {
  kind: string;
  apiVersion: string;
  fields: Fields;
  items: unknown[];
}

function headerOf(raw: unknown): Header | { message: string; below: string[] } {
  if (!isFields(raw))
    return { message: "is not a Kubernetes object: a map with apiVersion, kind and metadata", below: [] };
  const { apiVersion, kind, items } = raw;
  if (typeof kind !== "string" || !/^[A-Za-z][A-Za-z0-9]{0,62}$/.test(kind)) {
    return { message: "has no valid kind", below: ["kind"] };
  }
  if (typeof apiVersion !== "string") return { message: `${kind} has no apiVersion`, below: ["apiVersion"] };
  if (kind === "List" && !Array.isArray(items)) return { message: "List has no items", below: ["items"] };
  return { kind, apiVersion, fields: raw, items: Array.isArray(items) ? items : [] };
}

function skipped(
  { kind, apiVersion, fields }: Header,
  known: KindSchema | undefined,
  file: string,
  at: string,
): Problem {
  const object = nameOf(kind, true, fields) ?? `${kind} in ${file}`;
  const expected = known ? `; Weir reads ${kind} of ${known.apiVersion}` : "";
  return {
    object,
    message: `Weir does not act on ${kind} of ${quote(apiVersion)}: skipped${expected}`,
    severity: "skipped",
    at,
  };
}

interface Place {
  kind: string;
  known: KindSchema;
  file: string;
  at: string;
}

function readObject(draft: Draft, document: Read, raw: Fields, path: PropertyKey[], place: Place): void {
  const { kind, known, file, at } = place;
  const name = nameOf(kind, known.namespaced, raw);
  const result = known.schema.safeParse(raw);
  if (!result.success) {
    if (name) draft.refused.add(name);
    else draft.complete = false;
    draft.problems.push(...result.error.issues.map((issue) => toProblem(issue, raw, name ?? file, document, path)));
    return;
  }
  const object = result.data;
  const key = objectKey(kind, object.metadata);
  draft.objects.push({ key, object, at });
  for (const remark of remarksOn(raw, known)) {
    const { field, ...problem } = remark;
    draft.problems.push({ object: key, path: formatPath(field), at: document.locate([...path, ...field]), ...problem });
  }
}

/** The key of an object that may be wrong otherwise; undefined if its own name is. */
function nameOf(kind: string, namespaced: boolean, raw: Fields): string | undefined {
  const { metadata } = raw;
  if (!isFields(metadata) || typeof metadata.name !== "string" || checkSubdomain(metadata.name)) return undefined;
  if (!namespaced) return objectKey(kind, { name: metadata.name });
  const namespace = metadata.namespace || "default";
  if (typeof namespace !== "string" || checkLabelName(namespace)) return undefined;
  return objectKey(kind, { namespace, name: metadata.name });
}

function toProblem(issue: z.core.$ZodIssue, raw: Fields, object: string, document: Read, path: PropertyKey[]): Problem {
  const field = formatPath(issue.path);
  const value = issue.path.reduce<unknown>((at, key) => (at as Fields | undefined)?.[key as string], raw);
  const left = issue.code === "invalid_type" && (value ?? undefined) === undefined;
  return {
    object,
    path: field,
    message: left ? "is required" : issue.message,
    at: document.locate([...path, ...issue.path]),
  };
}

function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z][A-Za-z0-9]*$/.test(String(part)) && !/(^|\.)(annotations|labels|data)$/.test(text)) {
      text += text ? `.${String(part)}` : String(part);
    } else text += `[${quote(String(part))}]`;
  }
  return text;
}

const TOP = new Set(
  "apiVersion kind metadata spec status data binaryData immutable addressType endpoints ports".split(" "),
);
const METADATA = new Set(
  (
    "name namespace labels annotations uid resourceVersion generation creationTimestamp deletionTimestamp generateName " +
    "deletionGracePeriodSeconds ownerReferences finalizers managedFields selfLink"
  ).split(" "),
);

/** What is accepted but not acted on: fields that no such object has (mostly misspelt), and those that Weir leaves out. */
function* remarksOn(
  raw: Fields,
  known: KindSchema,
): Generator<{ field: string[]; message: string; severity: Problem["severity"] }> {
  yield* unknownFields(raw, [], TOP);
  yield* unknownFields(raw, ["metadata"], METADATA);
  if (known.template) yield* unknownFields(raw, known.template, METADATA);
  const spec = known.podSpec && at(raw, known.podSpec);
  if (!spec || !known.podSpec) return;
  for (const [field, message] of Object.entries(UNUSED_POD_FIELDS)) {
    if (spec[field] === undefined || spec[field] === null) continue;
    yield { field: [...known.podSpec, field], message, severity: "skipped" };
  }
}

function* unknownFields(raw: Fields, path: readonly string[], allowed: ReadonlySet<string>) {
  for (const field of Object.keys(at(raw, path) ?? {})) {
    if (allowed.has(field)) continue;
    yield { field: [...path, field], message: "unknown field: ignored", severity: "warning" as const };
  }
}

function at(raw: Fields, path: readonly string[]): Fields | undefined {
  let value: unknown = raw;
  for (const part of path) value = isFields(value) ? value[part] : undefined;
  return isFields(value) ? value : undefined;
}
