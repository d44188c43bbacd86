/** The parts of a JSON Schema that the reference of fields needs. */
export interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  description?: string;
  type?: string | readonly string[];
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  format?: string;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  required?: readonly string[];
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
}

export interface Field {
  /** Dotted, with `[]` for the items of a list: `hops[].instance`. */
  path: string;
  type: string;
  description: string;
}

/** All fields of a schema, nested ones after their parents. */
export function fieldsOf(schema: JsonSchema): Field[] {
  const defs = schema.$defs ?? {};
  return walk(resolve(schema, defs), "", defs, new Set());
}

type Definitions = Readonly<Record<string, JsonSchema>>;

function walk(schema: JsonSchema, prefix: string, defs: Definitions, seen: ReadonlySet<JsonSchema>): Field[] {
  if (seen.has(schema)) return [];
  const inner = new Set([...seen, schema]);
  const branches = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map((each) => resolve(each, defs));
  const properties = branches.flatMap((branch) => Object.entries(branch.properties ?? {}));
  const fields = properties.flatMap(([name, value]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const resolved = resolve(value, defs);
    const { item, suffix } = element(resolved, defs);
    const description = value.description ?? resolved.description ?? "";
    return [{ path, type: typeName(resolved, defs), description }, ...walk(item, `${path}${suffix}`, defs, inner)];
  });
  return merge(fields);
}

/** Merges fields with the same path: variants of a union share fields, each of which is shown once with all its types. */
function merge(fields: readonly Field[]): Field[] {
  const merged = new Map<string, Field>();
  for (const field of fields) {
    const { type, description } = merged.get(field.path) ?? field;
    const types = [...new Set([...type.split("|"), ...field.type.split("|")])].join("|");
    merged.set(field.path, { path: field.path, type: types, description: description || field.description });
  }
  return [...merged.values()];
}

function element(schema: JsonSchema, defs: Definitions): { item: JsonSchema; suffix: string } {
  if (!schema.items) return { item: schema, suffix: "" };
  return { item: resolve(schema.items, defs), suffix: "[]" };
}

function resolve(schema: JsonSchema, defs: Definitions): JsonSchema {
  const name = schema.$ref?.replace("#/$defs/", "");
  const target = name === undefined ? undefined : defs[name];
  return target ? resolve(target, defs) : schema;
}

function typeName(schema: JsonSchema, defs: Definitions): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.join("|");
  if (schema.items) return `list of ${typeName(resolve(schema.items, defs), defs)}`;
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return [...new Set(branches.map((each) => typeName(resolve(each, defs), defs)))].join("|");
  if (schema.type === "object") return schema.properties ? "object" : "map";
  return schema.type === undefined ? "any" : [schema.type].flat().join("|");
}
