import { quote } from "./text.ts";

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const NAME_PART = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const CONFIG_KEY = /^[-._a-zA-Z0-9]+$/;
/** What the API server allows for all annotations of an object together, bytes. */
const ANNOTATIONS_SIZE = 256 * 1024;

/** Each check returns the reason why the API server would refuse the value, or undefined. */
export type Check = (value: string) => string | undefined;

/** DNS-1123 label: names of namespaces and containers. */
export const checkLabelName: Check = (value) => {
  if (value.length > 63) return `${quote(value)} is longer than 63 characters`;
  if (LABEL.test(value)) return undefined;
  return `${quote(value)} must be lower-case letters, digits and "-", and begin and end with a letter or digit`;
};

/** DNS-1123 subdomain: names of most objects. */
export const checkSubdomain: Check = (value) => {
  if (value.length > 253) return `${quote(value)} is longer than 253 characters`;
  if (SUBDOMAIN.test(value)) return undefined;
  return `${quote(value)} must be lower-case letters, digits, "-" and ".", and begin and end with a letter or digit`;
};

/** Key of a label or an annotation: an optional DNS prefix, a slash, a name of at most 63 characters. */
export const checkQualifiedName: Check = (value) => {
  const parts = value.split("/");
  const name = parts.at(-1) ?? "";
  if (parts.length > 2) return `${quote(value)} must have at most one "/"`;
  if (parts.length === 2 && checkSubdomain(parts[0] ?? ""))
    return `${quote(value)} must have a DNS name before the "/"`;
  if (name.length > 63) return `${quote(value)} has a name longer than 63 characters`;
  if (NAME_PART.test(name)) return undefined;
  return `${quote(value)} must be letters, digits, "-", "_" and ".", and begin and end with a letter or digit`;
};

/** Value of a label. */
export const checkLabelValue: Check = (value) => {
  if (value.length > 63) return `${quote(value)} is longer than 63 characters`;
  if (value === "" || NAME_PART.test(value)) return undefined;
  return `${quote(value)} must be empty or letters, digits, "-", "_" and ".", beginning and ending with a letter or digit`;
};

/** Key of a ConfigMap. */
export const checkConfigKey: Check = (value) => {
  if (value.length > 253) return `${quote(value)} is longer than 253 characters`;
  if (CONFIG_KEY.test(value) && value !== "." && value !== ".." && !value.startsWith("..")) return undefined;
  return `${quote(value)} must be letters, digits, "-", "_" and "."`;
};

/** All annotations of an object together. */
export function checkAnnotationsSize(annotations: Readonly<Record<string, string>>): string | undefined {
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) size += Buffer.byteLength(key) + Buffer.byteLength(value);
  return size > ANNOTATIONS_SIZE ? `annotations take ${size} bytes, more than ${ANNOTATIONS_SIZE}` : undefined;
}

/** `Kind/namespace/name`, or `Kind/name` for what has no namespace: how problems name an object. */
export function objectKey(kind: string, metadata: { namespace?: string | undefined; name: string }): string {
  return metadata.namespace ? `${kind}/${metadata.namespace}/${metadata.name}` : `${kind}/${metadata.name}`;
}

/** `namespace/name`: how pods are keyed everywhere. */
export function podKey(pod: { namespace: string; name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

/** Path of an annotation or label in problems, e.g. `metadata.annotations["bandwidth"]`. */
export function fieldPath(map: "annotations" | "labels", key: string): string {
  return `metadata.${map}[${quote(key)}]`;
}
