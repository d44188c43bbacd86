import { TYPES } from "./kubernetes.ts";

/** A map in a document: plain data that is not validated yet. */
export type Fields = Record<string, unknown>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The top-level fields of Weir's kinds, whose specs have strict schemas. */
const OWN = "apiVersion string, kind string, metadata ObjectMeta, spec any, status any";

const known = new Map<string, ReadonlyMap<string, string>>();

/**
 * Types of the fields of a Kubernetes type or a kind of Weir, in the notation of kubernetes.ts; undefined for a scalar.
 */
export function fieldTypes(type: string): ReadonlyMap<string, string> | undefined {
  const before = known.get(type);
  if (before) return before;
  const text = type === "Limit" || type === "Impairment" ? OWN : Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (text === undefined) return undefined;
  const fields = text.split(", ").filter((field) => field !== "");
  const types = new Map(fields.map((field) => field.split(" ") as [string, string]));
  known.set(type, types);
  return types;
}
