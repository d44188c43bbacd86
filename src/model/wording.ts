import { suggestion } from "./suggest.ts";
import { quote } from "./text.ts";

/** What a field expects: `a percentage such as "2%"`, and what a value of another type was probably meant to be. */
export interface Hint {
  what: string;
  /** The corrected value as YAML, if it can be derived. */
  meant?(value: unknown): string | undefined;
}

/** An issue of zod while its message is made. `inst` is the schema that reported it. */
export interface Issue {
  code?: string | undefined;
  input?: unknown;
  expected?: unknown;
  values?: readonly unknown[] | undefined;
  keys?: readonly string[] | undefined;
  inst?: unknown;
  origin?: unknown;
  minimum?: number | bigint | undefined;
  maximum?: number | bigint | undefined;
}

/** The error function of a schema that has a hint. */
export const says =
  (hint: Hint) =>
  (issue: Issue): string | undefined =>
    issue.code === "invalid_type" ? wrongType(issue, hint) : inWords(issue);

/**
 * Makes the message of a zod issue: what was found, what is expected, and how to write it. For `safeParse`. Undefined
 * where zod's own message is used.
 */
export function inWords(issue: Issue): string | undefined {
  if (issue.code === "invalid_type") {
    const isPlain = issue.input === undefined && fieldsOf(issue.inst).length === 0;
    return isPlain ? "is required" : wrongType(issue, usual(issue));
  }
  if (issue.code === "invalid_value") return wrongWord(issue.input, issue.values ?? []);
  if (issue.code === "too_small" || issue.code === "too_big") return wrongSize(issue);
  if (issue.code === "unrecognized_keys") {
    return (issue.keys ?? []).map((key) => unknownField(key, fieldsOf(issue.inst))).join("; ");
  }
  return undefined;
}

/** `no field "los"; did you mean loss?`, or the list of the fields. */
export function unknownField(key: string, fields: readonly string[]): string {
  const near = suggestion(key, fields);
  return `no field ${quote(key)}; ${near || `its fields are ${fields.join(", ")}`}`;
}

function wrongType({ input, expected }: Issue, { what, meant }: Hint): string {
  if (input === undefined) return `is required; write ${what}`;
  if (input === null) return `has no value; write ${what}`;
  return `${shown(input)} is ${typeOf(input)}, not ${TYPES[String(expected)] ?? what}; write ${meant?.(input) ?? what}`;
}

function wrongSize({ code, input, origin, minimum, maximum }: Issue): string | undefined {
  const least = code === "too_small";
  const bound = least ? `at least ${minimum}` : `at most ${maximum}`;
  if (origin === "string") return `has ${String(input).length} characters; write ${bound}`;
  if (origin === "array") return `has ${(input as unknown[]).length} members; write ${bound}`;
  return typeof input === "number" || typeof input === "bigint"
    ? `${input} is too ${least ? "small" : "large"}; write ${bound}`
    : undefined;
}

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  bigint: "a whole number",
  boolean: "true or false",
  object: "a map of fields",
  record: "a map",
  array: "a list",
};

function typeOf(value: unknown): string {
  if (typeof value === "string") return "text";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "boolean") return "a boolean";
  return typeof value === "object" ? "a map" : "a number";
}

/** A short form of a value of any size. */
function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "[…]" : "{…}";
  return String(value);
}

/** The hint for schemas without one of their own. */
function usual({ expected, inst }: Issue): Hint {
  switch (expected) {
    case "string":
      return { what: "text", meant: (value) => (typeof value === "object" ? undefined : quote(String(value))) };
    case "number":
    case "int":
    case "bigint":
      return { what: "a number", meant: (value) => unquoted(value, /^-?\d{1,15}(\.\d{1,15})?$/) };
    case "boolean":
      return { what: "true or false", meant: (value) => unquoted(value, /^(true|false)$/) };
    case "array":
      return { what: "a list, such as [first, second]" };
    default:
      return { what: fieldsOf(inst).length > 0 ? `fields of ${fieldsOf(inst).join(", ")}` : "a map, {name: value}" };
  }
}

/** The text without quotes, if it is then the right value. */
function unquoted(value: unknown, right: RegExp): string | undefined {
  return typeof value === "string" && right.test(value) ? `${value} without quotes` : undefined;
}

function wrongWord(input: unknown, values: readonly unknown[]): string {
  const words = values.map(String);
  const list = words.length === 1 ? words.join() : `one of ${words.join(", ")}`;
  if (input === undefined) return `is required; write ${list}`;
  const same = typeof input === "string" ? words.find((word) => word.toLowerCase() === input.toLowerCase()) : undefined;
  const near = same ? `did you mean ${same}?` : typeof input === "string" ? suggestion(input, words) : "";
  return `${shown(input)} is not ${list}${near && `; ${near}`}`;
}

/** Names of an object schema's fields. */
function fieldsOf(schema: unknown): string[] {
  const { shape } = (schema ?? {}) as { shape?: object };
  return Object.keys(shape ?? {});
}
