import { checkConfigKey } from "../../model/names.ts";
import type { ConfigMap, Pod, Secret } from "../../model/objects.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import { isNamespaceName, isPodName } from "../names.ts";
import type { ApiObject, ApiPod } from "./objects.ts";

/** A pod of the API that the lab can run, or why it cannot. */
export type ReadPod = { pod: Pod } | { refused: string };

/** Reads a pod of the API. Its resource version is dropped: it also changes with the status. */
export function readPod(raw: ApiPod): ReadPod {
  const { metadata, spec } = raw;
  // Names and uids become parts of paths, so they are checked here again.
  if (!isPodName(metadata.name) || !isNamespaceName(metadata.namespace ?? "")) return { refused: "no valid name" };
  if (!/^[A-Za-z0-9-]{1,64}$/.test(metadata.uid ?? "")) return { refused: "no valid uid" };
  const { name, namespace, uid, labels, annotations } = metadata;
  const plain: object = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, uid, labels, annotations },
    spec,
  };
  const { objects, problems } = parseManifests(JSON.stringify(plain), "the Kubernetes API");
  const [first] = objects;
  if (first?.object.kind === "Pod") return { pod: first.object };
  const [problem] = problems;
  return { refused: [problem?.path, problem?.message].filter(Boolean).join(": ") || "cannot be read" };
}

/** Reads a ConfigMap of the API. Keys become file names: invalid ones are dropped. */
export function readConfigMap(raw: ApiObject & Partial<Pick<ConfigMap, "data" | "binaryData">>): ConfigMap {
  const { name, namespace = "" } = raw.metadata;
  const good = (map: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(Object.entries(map).filter(([key]) => checkConfigKey(key) === undefined));
  const metadata = { name, namespace, labels: {}, annotations: {} };
  return { kind: "ConfigMap", metadata, data: good(raw.data), binaryData: good(raw.binaryData) };
}

/** Reads a Secret of the API. Its values are used as environment variables. */
export function readSecret(raw: ApiObject & Partial<Pick<Secret, "data">>): Secret {
  const { name, namespace = "" } = raw.metadata;
  const decoded = Object.entries(raw.data ?? {}).map(([key, text]) => [
    key,
    Buffer.from(text, "base64").toString("utf8"),
  ]);
  return {
    kind: "Secret",
    metadata: { name, namespace, labels: {}, annotations: {} },
    data: Object.fromEntries(decoded),
  };
}
