import { TYPES } from "./kubernetes.ts";

/** A map of a document: plain data that nobody has judged yet. */
export type Fields = Record<string, unknown>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of Weir's own kinds, whose specs have strict schemas, what is around them. */
const OWN = "apiVersion string, kind string, metadata ObjectMeta, spec any, status any";

const known = new Map<string, ReadonlyMap<string, string>>();

/** Type of each field of a Kubernetes type or one of Weir's kinds, as kubernetes.ts writes types; undefined for a scalar. */
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
