import { stringify } from "yaml";
import { z } from "zod";
import { apiVersion } from "../../model/version.ts";
import { specs } from "./rules.ts";

/** JSON Schema, as zod writes it and as custom resources take it. */
type Schema = Record<string, unknown>;

const [GROUP = "", VERSION = ""] = apiVersion.split("/");

interface Resource {
  kind: keyof typeof specs;
  plural: string;
  /** Column of `kubectl get` → path in the object. */
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

/** The CustomResourceDefinitions of Weir's own kinds, made of the schemas that read manifests: YAML by file name. */
export function customResources(): Map<string, string> {
  const toText = (resource: Resource) =>
    HEADER + stringify(definition(resource), { aliasDuplicateObjects: false, lineWidth: 0 });
  return new Map(RESOURCES.map((resource) => [`${resource.plural}.yaml`, toText(resource)]));
}

/** JSON Schemas of the specs of Weir's own kinds, for readers. */
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

/** JSON Schema's words that mean the same in a structural schema. */
const KEPT = new Set(
  [
    "type description nullable default anyOf enum format pattern required minimum maximum minLength maxLength minItems maxItems",
    "minProperties maxProperties x-kubernetes-validations",
  ].flatMap((words) => words.split(" ")),
);

/** Makes a structural schema: every field has one type, and what is not listed is pruned, or refused by strict clients. */
function structural(schema: Schema): Schema {
  const { anyOf, ...own } = schema;
  if (Array.isArray(anyOf) && !schema["type"]) return alternatives(own, anyOf);
  const { properties, items, additionalProperties } = schema;
  const kept = Object.fromEntries(Object.entries(schema).filter(([name]) => KEPT.has(name)));
  // Text of a format may be a list for the server (bytes, it thinks), which then fails at each write of the status.
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

/** What is true of no number, no list and no boolean; each check concerns its own type alone. */
const NEITHER = { minimum: 1, maximum: 0, minItems: 1, maxItems: 0, not: { enum: [true, false] } };
/** The same, refused in words: the server shows the values of the first alternative as those that it supports. */
const neither = (words: unknown): Schema => ({ anyOf: [{ enum: [words] }, NEITHER] });

/** CEL sees nothing below a field of any type, and the server takes no rule there. */
function withoutRules<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutRules) as T;
  if (!isSchema(value)) return value;
  const kept = Object.entries(value).filter(([name]) => name !== "x-kubernetes-validations");
  return Object.fromEntries(kept.map(([name, one]) => [name, withoutRules(one)])) as T;
}

/** `null` is left out; text or objects of one field become a field of any type, with what is checked of each type. */
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
