import type { z } from "zod";
import { checkLabelName, checkSubdomain, objectKey } from "../../model/names.ts";
import type { ManifestObject, Problem } from "../../model/objects.ts";
import { quote } from "../../model/text.ts";
import { UNUSED_POD_FIELDS } from "./pod.ts";
import type { KindSchema } from "./schemas.ts";

export type Fields = Record<string, unknown>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What is to be said of a field of an object. */
export interface Finding {
  field: readonly PropertyKey[];
  message: string;
  severity?: Problem["severity"];
}

/** `key` is undefined if not even the name is good; `object` if it is refused. */
export interface Judgement {
  key: string | undefined;
  object: ManifestObject | undefined;
  findings: readonly Finding[];
}

/** Judges one object by the schema of its kind, wherever it comes from. Never throws. */
export function judgeObject(kind: string, known: KindSchema, raw: Fields): Judgement {
  try {
    return judge(kind, known, raw);
  } catch (error) {
    // Whatever a check trips over must cost this object alone.
    const message = `cannot be judged: ${quote(String(error)).slice(1, -1)} (a fault of Weir: please report it)`;
    return { key: nameOf(kind, known.namespaced, raw), object: undefined, findings: [{ field: [], message }] };
  }
}

function judge(kind: string, known: KindSchema, raw: Fields): Judgement {
  const result = known.schema.safeParse(raw);
  if (result.success) {
    const object = result.data;
    return { key: objectKey(kind, object.metadata), object, findings: [...remarksOn(raw, known)] };
  }
  const findings = result.error.issues.map((issue) => toFinding(issue, raw));
  return { key: nameOf(kind, known.namespaced, raw), object: undefined, findings };
}

/** The key of an object that may be wrong otherwise; undefined if its own name is. */
export function nameOf(kind: string, namespaced: boolean, raw: Fields): string | undefined {
  const { metadata } = raw;
  if (!isFields(metadata) || typeof metadata.name !== "string" || checkSubdomain(metadata.name)) return undefined;
  if (!namespaced) return objectKey(kind, { name: metadata.name });
  const namespace = metadata.namespace || "default";
  if (typeof namespace !== "string" || checkLabelName(namespace)) return undefined;
  return objectKey(kind, { namespace, name: metadata.name });
}

function toFinding(issue: z.core.$ZodIssue, raw: Fields): Finding {
  const value = issue.path.reduce<unknown>((at, key) => (at as Fields | undefined)?.[key as string], raw);
  const left = issue.code === "invalid_type" && (value ?? undefined) === undefined;
  return { field: issue.path, message: left ? "is required" : issue.message };
}

/** A field as problems show it, e.g. `spec.containers[0].name`, `metadata.labels["a/b"]`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z][A-Za-z0-9]*$/.test(String(part)) && !/(^|\.)(annotations|labels|data)$/.test(text)) {
      text += text ? `.${String(part)}` : String(part);
    } else text += `[${quote(shortened(String(part)))}]`;
  }
  return text;
}

const LONGEST_KEY = 100;
/** Whole keys of labels and annotations are up to 317 long, misspelt ones may be of any length. */
const shortened = (key: string): string => (key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY)}…` : key);

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
