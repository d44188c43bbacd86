// Writes src/sources/manifests/kubernetes.ts: the fields of the kinds that Weir reads, and their types, made of the OpenAPI
// document in the Go module that test/control-plane asks for. Needs Go, and the module proxy or its cache.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const KINDS = {
  "core.v1": ["Pod", "Node", "Namespace", "Service", "ConfigMap", "Secret"],
  "discovery.v1": ["EndpointSlice"],
  "apps.v1": ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"],
  "batch.v1": ["Job", "CronJob"],
};
/** Types that are written as a scalar. */
const SCALARS = { Time: "time", MicroTime: "time", Quantity: "quantity", IntOrString: "intOrString", FieldsV1: "any" };
/** Where the formatter breaks lines. */
const WIDTH = 120;
const OUTPUT = "src/sources/manifests/kubernetes.ts";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const { Dir: folder, Version: version } = module("k8s.io/kubernetes");
const { definitions } = JSON.parse(readFileSync(join(folder, "api/openapi-spec/swagger.json"), "utf8"));
writeFileSync(OUTPUT, render(summarise(definitions), version));

/** A Go module of the version in go.mod, fetched if necessary. */
function module(path) {
  const cwd = "test/control-plane/programs";
  const env = { ...process.env, GOTOOLCHAIN: "local" };
  const options = { cwd, env, encoding: "utf8" };
  const version = execFileSync("go", ["list", "-mod=readonly", "-m", "-f", "{{.Version}}", path], options).trim();
  return JSON.parse(execFileSync("go", ["mod", "download", "-json", `${path}@${version}`], options));
}

/** Types by name, with all types that the kinds refer to: field → type. */
function summarise(definitions) {
  const types = new Map();
  const places = new Map();
  const add = (place) => {
    const name = place.split(".").at(-1);
    if (name in SCALARS) return SCALARS[name];
    const other = places.get(name);
    if (other !== undefined && other !== place) throw new Error(`two types have the name ${name}: ${other}, ${place}`);
    if (other !== undefined) return name;
    places.set(name, place);
    types.set(name, {});
    const { properties = {} } = definitions[place];
    types.set(name, Object.fromEntries(Object.entries(properties).map(([field, it]) => [field, typeOf(it, add)])));
    return name;
  };
  for (const [group, kinds] of Object.entries(KINDS)) for (const kind of kinds) add(`io.k8s.api.${group}.${kind}`);
  return types;
}

function typeOf({ $ref, type, format, items, additionalProperties }, add) {
  if ($ref) return add($ref.replace("#/definitions/", ""));
  if (items) return `[]${typeOf(items, add)}`;
  if (additionalProperties) return `{}${typeOf(additionalProperties, add)}`;
  return { integer: format, string: format === "byte" ? "byte" : "string" }[type] ?? type;
}

function render(types, version) {
  const names = [...types.keys()].sort((a, b) => (a < b ? -1 : 1));
  const lines = names.map((name) => {
    const fields = Object.entries(types.get(name)).map(([field, type]) => `${field} ${type}`);
    const text = `${JSON.stringify(fields.join(", "))},`;
    return `  ${name}:${name.length + text.length > WIDTH - 4 ? `\n    ${text}` : ` ${text}`}`;
  });
  return `// Made by scripts/kubernetes-types.mjs.

/** Version of Kubernetes whose types these are. */
export const VERSION = "${version}";

/**
 * Fields of the kinds that Weir reads and of all types below them: \`field type, …\`. Scalars are in lower case; \`[]\` is a
 * list of what follows, \`{}\` a map of it by name.
 */
export const TYPES: Readonly<Record<string, string>> = {
${lines.join("\n")}
};
`;
}
