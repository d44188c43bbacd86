import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { TYPES } from "../../src/sources/manifests/kubernetes.ts";
import { fieldTypes } from "../../src/sources/manifests/types.ts";

/** The type of a field: a scalar, or a container with members. */
export type Shape =
  | { scalar: string }
  | { list: () => Shape }
  | { map: () => Shape }
  | { fields: ReadonlyMap<string, () => Shape> };

/** Fields of every kind that Weir reads, from Kubernetes' schemas and from Weir's custom resources. */
export function shapes(): Map<string, Shape> {
  const own = readdirSync(CRDS).map((file) => readFileSync(join(CRDS, file), "utf8"));
  return new Map([
    ...Object.keys(TYPES)
      .filter((name) => TYPES[name]?.includes("apiVersion string") && TYPES[name]?.includes("metadata ObjectMeta"))
      .filter((name) => name !== "PersistentVolumeClaim")
      .map((name) => [name, kubernetesShape(name)] as const),
    ...own.map(customShape),
  ]);
}

const CRDS = join(import.meta.dirname, "../../deploy/crds");

function kubernetesShape(type: string): Shape {
  if (type.startsWith("[]")) return { list: () => kubernetesShape(type.slice(2)) };
  if (type.startsWith("{}")) return { map: () => kubernetesShape(type.slice(2)) };
  const fields = fieldTypes(type);
  if (!fields) return { scalar: type };
  return { fields: new Map([...fields].map(([field, below]) => [field, () => kubernetesShape(below)])) };
}

interface OpenApi {
  type?: string;
  properties?: Readonly<Record<string, OpenApi>>;
  items?: OpenApi;
  additionalProperties?: OpenApi | boolean;
}

function customShape(text: string): [kind: string, shape: Shape] {
  const { spec } = parse(text) as {
    spec: { names: { kind: string }; versions: [{ schema: { openAPIV3Schema: OpenApi } }] };
  };
  const { properties = {} } = spec.versions[0].schema.openAPIV3Schema;
  const fields = new Map(Object.entries(properties).map(([field, below]) => [field, () => openApiShape(below)]));
  return [spec.names.kind, { fields: fields.set("metadata", () => kubernetesShape("ObjectMeta")) }];
}

function openApiShape({ type = "string", properties, items, additionalProperties }: OpenApi): Shape {
  if (items) return { list: () => openApiShape(items) };
  if (typeof additionalProperties === "object") return { map: () => openApiShape(additionalProperties) };
  if (!properties) return { scalar: { integer: "int64", number: "int64" }[type] ?? type };
  return { fields: new Map(Object.entries(properties).map(([field, below]) => [field, () => openApiShape(below)])) };
}

/** A field of an object; members of lists are `0`, those of maps `k`. */
export interface Place {
  path: readonly (string | number)[];
  shape: Shape;
  /** The types on the path, the object first. */
  above: readonly Shape[];
}

/** Every field below a type, except itself. */
export function* places(shape: Shape, path: Place["path"] = [], above: Place["above"] = []): Generator<Place> {
  for (const [key, below] of members(shape)) {
    const place = { path: [...path, key], shape: below(), above: [...above, shape] };
    yield place;
    yield* places(place.shape, place.path, place.above);
  }
}

function members(shape: Shape): Iterable<readonly [string | number, () => Shape]> {
  if ("fields" in shape) return shape.fields;
  if ("list" in shape) return [[0, shape.list]];
  return "map" in shape ? [["k", shape.map]] : [];
}
