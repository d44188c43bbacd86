import { stringify } from "yaml";
import * as z from "zod";
import { apiVersion } from "../../model/version.ts";
import { specs } from "./rules.ts";

/** JSON Schema, as zod writes it and custom resources accept it. */
type Schema = Record<string, unknown>;

const [GROUP = "", VERSION = ""] = apiVersion.split("/");

interface Resource {
  kind: keyof typeof specs;
  plural: string;
  /** Columns of `kubectl get`, with paths in the object. */
  columns: Readonly<Record<string, string>>;
}

const RESOURCES: readonly Resource[] = [
  { kind: "Limit", plural: "limits", columns: { Ingress: ".spec.ingress", Egress: ".spec.egress" } },
  {
    kind: "Impairment",
    plural: "impairments",
    columns: { Direction: ".spec.direction", Delay: ".spec.delay.latency", Until: ".spec.until" },
  },
];

const CONDITIONS = ["Accepted", "Enforced"];

const HEADER = "# Made of src/sources/manifests/rules.ts: npm run generate\n";

/** The CustomResourceDefinitions of Weir's kinds, generated from the schemas of manifests: YAML by file name. */
export function customResources(): Map<string, string> {
  const toText = (resource: Resource) =>
    HEADER + stringify(definition(resource), { aliasDuplicateObjects: false, lineWidth: 0 });
  return new Map(RESOURCES.map((resource) => [`${resource.plural}.yaml`, toText(resource)]));
}

/** JSON Schemas of the specs of Weir's kinds. */
export function specSchemas(): Record<keyof typeof specs, Schema> {
  const schema = (kind: keyof typeof specs) => z.toJSONSchema(specs[kind], { io: "input", unrepresentable: "any" });
  return { Limit: schema("Limit"), Impairment: schema("Impairment") };
}

function definition({ kind, plural, columns }: Resource): object {
  const spec = structural(specSchemas()[kind]);
  const conditionColumns = CONDITIONS.map((type) => [type, `.status.conditions[?(@.type=="${type}")].status`]);
  const printed = [...Object.entries(columns), ...conditionColumns];
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), categories: ["weir"] },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            ...printed.map(([name, jsonPath]) => ({ name, type: "string", jsonPath })),
            { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
          ],
          schema: {
            openAPIV3Schema: {
              type: "object",
              required: ["spec"],
              properties: {
                apiVersion: { type: "string" },
                kind: { type: "string" },
                metadata: { type: "object" },
                spec,
                status,
              },
            },
          },
        },
      ],
    },
  };
}

const text = (maxLength: number): Schema => ({ type: "string", maxLength });

const status: Schema = {
  type: "object",
  description: "What agents report",
  properties: {
    observedGeneration: { type: "integer", format: "int64" },
    nodes: {
      type: "array",
      description: "What each node's agent says of it, for the pods that it has of those that are chosen",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: {
        type: "object",
        required: ["name", "observedGeneration", "pods", "enforced", "lastTransitionTime"],
        properties: {
          name: text(253),
          observedGeneration: { type: "integer", format: "int64", minimum: 0 },
          pods: { type: "integer", format: "int32", minimum: 0 },
          enforced: { type: "boolean" },
          message: text(1024),
          lastTransitionTime: { type: "string", format: "date-time" },
        },
      },
    },
    conditions: {
      type: "array",
      maxItems: 64,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
      items: {
        type: "object",
        required: ["type", "status", "reason", "message", "lastTransitionTime"],
        properties: {
          type: text(316),
          status: { type: "string", enum: ["True", "False", "Unknown"] },
          reason: text(1024),
          message: text(32_768),
          lastTransitionTime: { type: "string", format: "date-time" },
          observedGeneration: { type: "integer", format: "int64", minimum: 0 },
        },
      },
    },
  },
};

/** Keywords of JSON Schema with the same meaning in a structural schema. */
const KEPT = new Set(
  [
    "type description nullable default anyOf enum format pattern required minimum maximum minLength maxLength minItems maxItems",
    "minProperties maxProperties x-kubernetes-validations",
  ].flatMap((words) => words.split(" ")),
);

/**
 * Converts to a structural schema: every field has one type, and unknown fields are pruned, or refused by strict
 * clients.
 */
function structural(schema: Schema): Schema {
  const { anyOf, ...own } = schema;
  if (Array.isArray(anyOf) && !schema["type"]) return alternatives(own, anyOf);
  const { properties, items, additionalProperties } = schema;
  const kept = Object.fromEntries(Object.entries(schema).filter(([name]) => KEPT.has(name)));
  // with a format, the server may take text for bytes, and then refuses each write of the status
  if (kept["type"] === "string" && kept["pattern"] !== undefined) delete kept["format"];
  return {
    ...kept,
    ...(isSchema(properties) && { properties: each(properties) }),
    ...(isSchema(items) && { items: structural(items) }),
    ...(isSchema(additionalProperties) && { additionalProperties: structural(additionalProperties) }),
  };
}

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;
const each = (properties: Schema): Schema =>
  Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, structural(value as Schema)]));

/** Matches no number, list or boolean; each check applies to its own type only. */
const NEITHER = { minimum: 1, maximum: 0, minItems: 1, maxItems: 0, not: { enum: [true, false] } };
/**
 * Matches nothing, and shows `words` in the refusal: the server lists the values of the first alternative as supported.
 */
const neither = (words: unknown): Schema => ({ anyOf: [{ enum: [words] }, NEITHER] });

/** Removes CEL rules, which the server refuses below a field of any type. */
function withoutRules<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutRules) as T;
  if (!isSchema(value)) return value;
  const kept = Object.entries(value).filter(([name]) => name !== "x-kubernetes-validations");
  return Object.fromEntries(kept.map(([name, one]) => [name, withoutRules(one)])) as T;
}

/** Drops `null`; text or an object of one field becomes a field of any type, with the checks of each type. */
function alternatives(own: Schema, all: readonly Schema[]): Schema {
  const branches = all.filter(({ type }) => type !== "null");
  const [only] = branches;
  if (branches.length === 1 && only) return structural({ ...only, ...own, nullable: true });
  const merged = branches.map(structural);
  const objects = merged.filter(({ type }) => type === "object");
  const texts = merged.filter(({ type }) => type === "string");
  if (texts.length !== 1 || texts.length + objects.length !== branches.length) {
    throw new Error(`make a structural schema: ${JSON.stringify(all)} is neither text nor objects`);
  }
  const { pattern, maxLength } = texts[0] ?? {};
  return {
    ...own,
    allOf: [neither(own["description"])],
    pattern,
    maxLength,
    anyOf: objects.map(({ required }) => ({ required })),
    maxProperties: 1,
    properties: withoutRules(Object.assign({}, ...objects.map((one) => one["properties"]))),
    "x-kubernetes-preserve-unknown-fields": true,
  };
}
