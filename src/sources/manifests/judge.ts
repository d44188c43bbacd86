import type * as z from "zod";
import { checkLabelName, checkSubdomain, objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import { quote } from "../../model/text.ts";
import { inWords } from "../../model/wording.ts";
import type { Remark } from "./remark.ts";
import { remarksOn } from "./remarks.ts";
import type { KindSchema } from "./schemas.ts";
import { type Fields, isFields } from "./types.ts";

/** `key` is undefined if the name is invalid; `object` is undefined if it is refused. */
export interface Judgement {
  key: string | undefined;
  object: ManifestObject | undefined;
  findings: readonly Remark[];
}

/** The most findings per object: a longer list is usually one mistake many times. */
const MOST_FINDINGS = 50;

/**
 * The reader of an object. A `lab` acts on all of it. An `agent` acts on a part: errors elsewhere are problems, but do
 * not affect rules. With `api` an agent reads the same, and the server has validated the rest.
 */
export type Reader = "lab" | "agent" | "api";

/** Validates one object with the schema of its kind. Never throws. */
export function judgeObject(kind: string, known: KindSchema, raw: Fields, reader: Reader): Judgement {
  try {
    const { findings, ...judged } = judge(kind, known, raw, reader);
    if (findings.length <= MOST_FINDINGS) return { ...judged, findings };
    const more = { field: [], message: `has more that is not right; the first ${MOST_FINDINGS} are told` };
    return { ...judged, findings: [...findings.slice(0, MOST_FINDINGS), { ...more, severity: "warning" }] };
  } catch (error) {
    // a check that throws must only affect this object
    const message = `cannot be judged: ${quote(String(error)).slice(1, -1)} (a fault of Weir: please report it)`;
    return { key: nameOf(kind, known.namespaced, raw), object: undefined, findings: [{ field: [], message }] };
  }
}

function judge(kind: string, known: KindSchema, raw: Fields, reader: Reader): Judgement {
  const ruled = reader === "lab" ? undefined : known.ruled?.safeParse(raw);
  if (ruled?.success && reader === "api") return taken(kind, ruled.data, []);
  const whole = known.schema.safeParse(raw, { error: inWords });
  const remarks =
    reader === "api" ? [] : remarksOn(kind, known, raw, { most: MOST_FINDINGS + 1, runs: reader === "lab" });
  const wrong = whole.success ? [] : whole.error.issues.flatMap((issue) => toFindings(issue));
  if (ruled?.success) return taken(kind, ruled.data, [...wrong.map(unread), ...remarks]);
  if (whole.success) return taken(kind, whole.data, remarks);
  return { key: nameOf(kind, known.namespaced, raw), object: undefined, findings: [...wrong, ...remarks] };
}

const taken = (kind: string, object: ManifestObject, findings: readonly Remark[]): Judgement => ({
  key: objectKey(kind, object.metadata),
  object,
  findings,
});

const unread = (finding: Remark): Remark => ({
  ...finding,
  message: `${finding.message}; an agent does not act on it`,
  severity: "warning",
});

/** The key of an object that may be invalid otherwise; undefined if its name is invalid. */
export function nameOf(kind: string, namespaced: boolean, raw: Fields): string | undefined {
  const { metadata } = raw;
  if (!isFields(metadata) || typeof metadata.name !== "string" || checkSubdomain(metadata.name)) return undefined;
  if (!namespaced) return objectKey(kind, { name: metadata.name });
  const namespace = metadata.namespace || "default";
  if (typeof namespace !== "string" || checkLabelName(namespace)) return undefined;
  return objectKey(kind, { namespace, name: metadata.name });
}

/** For a union, the errors of the alternative that was meant, if that can be determined. */
function toFindings(issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): Remark[] {
  const field = [...above, ...issue.path];
  const meant =
    issue.code === "invalid_union" ? issue.errors.filter((all) => all.every(({ path }) => path.length > 0)) : [];
  if (meant.length === 1) return (meant[0] ?? []).flatMap((one) => toFindings(one, field));
  return [{ field, message: issue.message }];
}

/** A field's path in problems, e.g. `spec.containers[0].name`, `metadata.labels["a/b"]`. */
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
/** Valid keys of labels and annotations have up to 317 characters; invalid ones may be longer. */
const shortened = (key: string): string => (key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY)}…` : key);
