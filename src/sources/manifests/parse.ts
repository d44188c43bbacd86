import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { quote } from "../../model/text.ts";
import { type RawDocument, readDocuments } from "./document.ts";
import { formatPath, judgeObject, nameOf, type Reader } from "./judge.ts";
import { KINDS, type KindSchema } from "./schemas.ts";
import { type Fields, isFields } from "./types.ts";

/** An object with its position, `file:line:column`. */
export interface PlacedObject {
  key: string;
  object: ManifestObject;
  at: string;
}

/** The content of one file. */
export interface ParsedFile {
  objects: readonly PlacedObject[];
  problems: readonly Problem[];
  /** Keys of invalid objects, which keep their last valid state. */
  refused: ReadonlySet<string>;
  /** False if something in the file has no valid name: then no missing object counts as deleted. */
  complete: boolean;
}

/** The source of a text, and its reader. */
interface Origin {
  file: string;
  reader: Reader;
}

interface Draft {
  objects: PlacedObject[];
  problems: Problem[];
  refused: Set<string>;
  complete: boolean;
}

type Read = Extract<RawDocument, { value: unknown }>;

/**
 * Parses a manifest file: YAML with one or more documents, or JSON. Never throws.
 * @param file name in positions and problems @param reader decides which fields matter
 */
export function parseManifests(text: string, file: string, reader: Reader = "lab"): ParsedFile {
  const draft: Draft = { objects: [], problems: [], refused: new Set(), complete: true };
  for (const document of readDocuments(text, file)) {
    if ("problem" in document) {
      draft.complete = false;
      draft.problems.push({ object: file, message: document.problem, at: document.at });
    } else readItem(draft, document, document.value, [], { file, reader });
  }
  return draft;
}

function readItem(draft: Draft, document: Read, raw: unknown, path: PropertyKey[], origin: Origin): void {
  const { file } = origin;
  const header = headerOf(raw);
  if ("message" in header) {
    draft.complete = false;
    draft.problems.push({ object: file, message: header.message, at: document.locate([...path, ...header.below]) });
    return;
  }
  const { kind, apiVersion, fields } = header;
  const items = listItems(fields);
  if (items) {
    for (const [index, item] of items.entries()) readItem(draft, document, item, [...path, "items", index], origin);
    return;
  }
  const known = KINDS.get(kind);
  const at = document.locate(path);
  const isRead = known?.apiVersion === apiVersion && (!known.lab || origin.reader === "lab");
  if (isRead) readObject(draft, document, fields, path, { kind, known, ...origin, at });
  else draft.problems.push(skipped(header, known, file, at));
}

interface Header {
  kind: string;
  apiVersion: string;
  fields: Fields;
}

function headerOf(raw: unknown): Header | { message: string; below: string[] } {
  if (!isFields(raw))
    return { message: "is not a Kubernetes object: a map with apiVersion, kind and metadata", below: [] };
  const { apiVersion, kind, items } = raw;
  if (typeof kind !== "string" || !/^[A-Za-z][A-Za-z0-9]{0,62}$/.test(kind)) {
    return { message: "has no valid kind", below: ["kind"] };
  }
  if (typeof apiVersion !== "string") return { message: `${kind} has no apiVersion`, below: ["apiVersion"] };
  if (isList(kind) && !Array.isArray(items)) return { message: `${kind} has no items`, below: ["items"] };
  return { kind, apiVersion, fields: raw };
}

/** `List`, or the list of a known kind, such as `PodList`. */
const isList = (kind: string): boolean => kind === "List" || (kind.endsWith("List") && KINDS.has(kind.slice(0, -4)));

/** Members of a list; those of a `PodList` need no kind. Undefined: not a list. */
export function listItems({ apiVersion, kind, items }: Fields): unknown[] | undefined {
  if (typeof kind !== "string" || !isList(kind) || !Array.isArray(items)) return undefined;
  if (kind === "List") return apiVersion === "v1" ? items : undefined;
  return items.map((item) => (isFields(item) ? { apiVersion, kind: kind.slice(0, -4), ...item } : item));
}

function skipped(
  { kind, apiVersion, fields }: Header,
  known: KindSchema | undefined,
  file: string,
  at: string,
): Problem {
  const object = nameOf(kind, true, fields) ?? `${kind} in ${file}`;
  const expected = known && known.apiVersion !== apiVersion ? `; Weir reads ${kind} of ${known.apiVersion}` : "";
  return {
    object,
    message: `Weir does not act on ${kind} of ${quote(apiVersion)}: skipped${expected}`,
    severity: "skipped",
    at,
  };
}

interface Place extends Origin {
  kind: string;
  known: KindSchema;
  at: string;
}

function readObject(draft: Draft, document: Read, raw: Fields, path: PropertyKey[], place: Place): void {
  const { kind, known, file, reader, at } = place;
  const { key, object, findings } = judgeObject(kind, known, raw, reader);
  if (object && key) draft.objects.push({ key, object, at });
  else if (key) draft.refused.add(key);
  else draft.complete = false;
  for (const { field, ...finding } of findings) {
    const where = { path: formatPath(field), at: document.locate([...path, ...field]) };
    draft.problems.push({ object: key ?? file, ...where, ...finding });
  }
}
