import { quote } from "./text.ts";

/** A field that differs. `before` is undefined for a new field, `after` for a removed one. */
export interface Difference {
  /** E.g. `spec.match.ports[0].port`, `metadata.annotations["bandwidth"]`. */
  path: string;
  before?: unknown;
  after?: unknown;
}

/**
 * Fields in which two plain documents differ: in the order of the first, then of the second. Lists are compared by
 * index.
 */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (!isNode(before) || !isNode(after) || Array.isArray(before) !== Array.isArray(after)) {
    return before === after ? [] : [{ path, before, after }];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) =>
    differences(own(before, key), own(after, key), below(path, Array.isArray(before) ? Number(key) : key)),
  );
}

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;
const own = (node: Node, key: string): unknown => (Object.hasOwn(node, key) ? node[key] : undefined);

function below(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  if (!/^[A-Za-z][A-Za-z0-9]*$/.test(key) || /(^|\.)(annotations|labels|data)$/.test(path)) {
    return `${path}[${quote(key)}]`;
  }
  return path ? `${path}.${key}` : key;
}
