import { objectKey } from "../model/names.ts";
import type { ManifestObject } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";

/**
 * The lab's objects by `Kind/namespace/name`, as an API server would hold them: the last write of an object wins, be it
 * an edited file or `weir lab apply`.
 */
export class ObjectStore {
  readonly #objects = new Map<string, ManifestObject>();

  get all(): ManifestObject[] {
    return [...this.#objects.values()];
  }

  put(objects: readonly ManifestObject[]): void {
    for (const object of objects) this.#objects.set(objectKey(object.kind, object.metadata), object);
  }

  /** Returns the keys that existed. */
  remove(keys: Iterable<string>): string[] {
    return [...keys].filter((key) => this.#objects.delete(key));
  }

  /** Applies changes of a watched source: the objects of `keys` have a new value or are gone. */
  follow(keys: ReadonlySet<string>, snapshot: readonly ManifestObject[]): void {
    const now = new Map(snapshot.map((object) => [objectKey(object.kind, object.metadata), object]));
    for (const key of keys) {
      const object = now.get(key);
      if (object === undefined) this.#objects.delete(key);
      else this.#objects.set(key, object);
    }
  }
}

/** True for an error; false for a warning or an object that Weir does not act on. */
export function isError(problem: Problem): boolean {
  return problem.severity === undefined || problem.severity === "error";
}

/** One line: `Pod/default/a metadata.annotations["bandwidth"]: … (file:3:5)`. */
export function problemLine(problem: Problem): string {
  const field = problem.path === undefined ? "" : ` ${problem.path}`;
  const at = problem.at === undefined ? "" : ` (${problem.at})`;
  return `${problem.object}${field}: ${problem.message}${at}`;
}
