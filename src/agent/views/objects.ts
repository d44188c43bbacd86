import type { Plain } from "../../api/backend.ts";
import { ApiError } from "../../api/errors.ts";
import type * as schema from "../../api/schemas.ts";
import { type AppliedChange, type AppliedObject, type AppliedStore, DocumentError } from "../../sources/applied.ts";

/** Applied objects. */
export function objectItems(applied: AppliedStore): Plain<schema.AppliedObject>[] {
  return applied.list().map((one) => ({ ...named(one), manifest: { ...one.document } }));
}

/** Changes of objects, with the problems of each. */
export function changeItems(
  changes: readonly AppliedChange[],
  problems: readonly schema.Problem[],
): Plain<schema.ObjectChange>[] {
  return changes.map((one) => ({
    ...named(one),
    action: one.action,
    problems: [
      ...one.warnings.map((message) => ({ object: one.key, message, severity: "warning" as const })),
      ...problems.filter(({ object }) => object === one.key),
    ],
  }));
}

function named({ object: { kind, metadata } }: AppliedObject) {
  return { kind, namespace: metadata.namespace ?? null, name: metadata.name };
}

/** Stores a set of manifests. @throws ApiError `invalid` with the field's path, or `unavailable` */
export function putObjects(
  applied: AppliedStore,
  documents: readonly unknown[],
  options: { dryRun: boolean },
): AppliedChange[] {
  return asApi("apply objects", () => applied.put(documents, options));
}

/** Returns whether the object existed. @throws ApiError `unavailable` */
export function removeObject(applied: AppliedStore, key: string): boolean {
  return asApi(`delete ${key}`, () => applied.remove([key]).length > 0);
}

/** An invalid document is the caller's error; any other error of the store is the disk's. */
function asApi<T>(what: string, change: () => T): T {
  try {
    return change();
  } catch (cause) {
    const { message } = cause as Error;
    if (cause instanceof DocumentError) {
      throw new ApiError("invalid", `${what}: ${cause.path}: ${message}`, { path: cause.path, cause });
    }
    throw new ApiError("unavailable", `${what}: ${message}`, { cause });
  }
}
