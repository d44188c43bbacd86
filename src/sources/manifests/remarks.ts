import { DEFAULT_RULE_SETTINGS } from "../../model/limits.ts";
import { lookAlikes } from "../../model/look-alikes.ts";
import { closest } from "../../model/suggest.ts";
import { leftOutOfPod, leftOutOfWorkload } from "./left-out.ts";
import type { Remark } from "./remark.ts";
import type { KindSchema } from "./schemas.ts";
import { type Fields, fieldTypes, isFields } from "./types.ts";

/** Reports unknown fields (usually misspelt), at most `most`; for a lab also known fields that it ignores. */
export function remarksOn(
  kind: string,
  known: KindSchema,
  raw: Fields,
  { most, runs }: { most: number; runs: boolean },
): Remark[] {
  const unknown: Remark[] = [];
  findUnknown(raw, kind, { found: unknown, most, path: [] });
  const own = [...unknown, ...strayKeys(kind, known, raw)];
  return runs ? [...own, ...leftOut(kind, known, raw)] : own;
}

/** Rules in the metadata of an object that ignores them: a workload's pods have those of its template. */
function strayKeys(kind: string, { template }: KindSchema, { metadata }: Fields): Remark[] {
  const instead = template?.join(".") ?? (kind === "Namespace" ? "its pods' metadata" : undefined);
  if (instead === undefined || !isFields(metadata)) return [];
  const [labels, annotations] = [metadata["labels"], metadata["annotations"]].map((map) => (isFields(map) ? map : {}));
  const found = lookAlikes({ labels, annotations } as Texts, DEFAULT_RULE_SETTINGS, { here: false, kind, instead });
  return found.map(({ map, key, message }) => ({ field: ["metadata", map, key], message, severity: "warning" }));
}

type Texts = Parameters<typeof lookAlikes>[0];

interface Search {
  found: Remark[];
  most: number;
  /** Path of the search; copied only for findings, which are rare. */
  path: PropertyKey[];
}

/** Compares a value with a Kubernetes type recursively. Values of a wrong type are left to the schemas. */
function findUnknown(value: unknown, type: string, search: Search): void {
  if (Array.isArray(value)) {
    const members = type.startsWith("[]") ? type.slice(2) : "";
    // lists of scalars, which may be long, need not be searched
    if (/[A-Z]/.test(members)) for (const [index, item] of value.entries()) findBelow(index, item, members, search);
  } else if (isFields(value)) findInMap(value, type, search);
}

function findBelow(key: PropertyKey, value: unknown, type: string, search: Search): void {
  if (typeof value !== "object" || value === null) return;
  search.path.push(key);
  findUnknown(value, type, search);
  search.path.pop();
}

function findInMap(value: Fields, type: string, search: Search): void {
  const { found, most, path } = search;
  const members = type.startsWith("{}") ? type.slice(2) : undefined;
  const types = fieldTypes(type);
  for (const field of Object.keys(value)) {
    if (found.length >= most) return;
    const known = members ?? types?.get(field);
    if (known !== undefined) findBelow(field, value[field], known, search);
    else if (types) found.push({ field: [...path, field], message: unknownField(field, types), severity: "warning" });
  }
}

function unknownField(field: string, types: ReadonlyMap<string, string>): string {
  const names = new Map([...types.keys()].map((name) => [name.toLowerCase(), name]));
  const near = closest(field, [...names.keys()]);
  return `unknown field: ignored${near === undefined ? "" : `; did you mean ${names.get(near)}?`}`;
}

function* leftOut(kind: string, { podSpec }: KindSchema, raw: Fields): Generator<Remark> {
  yield* leftOutOfWorkload(kind, raw);
  const spec = podSpec && at(raw, podSpec);
  if (spec && podSpec) yield* leftOutOfPod(spec, podSpec);
}

function at(raw: Fields, path: readonly string[]): Fields | undefined {
  let value: unknown = raw;
  for (const part of path) value = isFields(value) ? value[part] : undefined;
  return isFields(value) ? value : undefined;
}
