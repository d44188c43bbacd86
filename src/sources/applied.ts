import { linkSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ManifestObject } from "../model/objects.ts";
import { forgottenAt } from "../model/one-off.ts";
import type { Problem } from "../model/problem.ts";
import { quote } from "../model/text.ts";
import { writeState } from "./atomic.ts";
import { listItems, parseManifests } from "./manifests/index.ts";

type Fields = Readonly<Record<string, unknown>>;

/** An object that was applied to the agent, and its document. */
export interface AppliedObject {
  /** `Kind/namespace/name`. */
  key: string;
  object: ManifestObject;
  /** As written, with the namespace filled in. */
  document: Fields;
  /** Fields that are accepted but ignored, e.g. unknown ones. */
  warnings: readonly string[];
}

export type AppliedAction = "created" | "changed" | "unchanged";
export interface AppliedChange extends AppliedObject {
  action: AppliedAction;
}

/** A document does not match its kind's schema. `path` is its place in the set, e.g. `items[1].spec.loss`. */
export class DocumentError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.name = "DocumentError";
    this.path = path;
  }
}

/** Name of the store's file in the agent's state folder. */
export const APPLIED_FILE = "applied.json";
/** Bounds the disk space for applied objects. */
const MOST_OBJECTS = 20_000;

/**
 * Objects applied through the API. They are written to `applied.json` in the agent's state folder before they take
 * effect. The file is a Kubernetes List, which can be applied elsewhere.
 */
export class AppliedStore {
  /** Parts of the file that could not be read at the start; the file was renamed to `applied.json.broken`. */
  readonly problems: Problem[] = [];
  readonly #path: string;
  #objects: ReadonlyMap<string, AppliedObject> = new Map();

  /** Creates the folder. Throws if that fails. */
  constructor(folder: string) {
    this.#path = join(folder, APPLIED_FILE);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#read();
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): AppliedObject | undefined {
    return this.#objects.get(key);
  }

  /** Sorted by key. */
  list(): AppliedObject[] {
    return [...this.#objects.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Stores all documents, or none. Returns the change of each. @throws DocumentError, or the file system's error */
  put(documents: readonly unknown[], { dryRun = false }: { dryRun?: boolean } = {}): AppliedChange[] {
    const changes = readAll(documents).map((one) => ({ ...one, action: this.#actionOf(one) }));
    const next = new Map(this.#objects);
    for (const { action: _, ...one } of changes) next.set(one.key, one);
    if (next.size > MOST_OBJECTS) throw new DocumentError("items", `more than ${MOST_OBJECTS} objects`);
    if (!dryRun && changes.some(({ action }) => action !== "unchanged")) this.#write(next);
    return changes;
  }

  /** Removes objects by key. Returns the keys that existed. @throws the file system's error */
  remove(keys: readonly string[], { dryRun = false }: { dryRun?: boolean } = {}): string[] {
    const there = [...new Set(keys)].filter((key) => this.#objects.has(key));
    if (dryRun || there.length === 0) return there;
    const gone = new Set(there);
    this.#write(new Map([...this.#objects].filter(([key]) => !gone.has(key))));
    return there;
  }

  /**
   * Removes one-off Impairments that ended some time before `now` (ms since the epoch). Returns their keys, and when
   * the next one is due. @throws the file system's error
   */
  expire(now: number): { gone: string[]; next: number | undefined } {
    const ends = [...this.#objects.values()].flatMap(({ key, document }) => {
      const at = forgottenAt(document);
      return at === undefined ? [] : [{ key, at }];
    });
    const gone = this.remove(ends.filter(({ at }) => at <= now).map(({ key }) => key));
    const next = ends.map(({ at }) => at).filter((at) => at > now);
    return { gone, next: next.length > 0 ? Math.min(...next) : undefined };
  }

  #actionOf({ key, document }: AppliedObject): AppliedAction {
    const before = this.#objects.get(key);
    if (!before) return "created";
    return isDeepStrictEqual(before.document, document) ? "unchanged" : "changed";
  }

  #write(next: ReadonlyMap<string, AppliedObject>): void {
    const items = [...next.values()].map(({ document }) => document);
    writeState(this.#path, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    this.#objects = next;
  }

  #read(): void {
    const objects = new Map<string, AppliedObject>();
    try {
      const { items } = JSON.parse(readFileSync(this.#path, "utf8")) as { items: unknown[] };
      // an object that a newer schema refuses does not affect others
      for (const [index, document] of items.entries()) this.#take(objects, document, index);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      this.#problem(`not readable (${(error as Error).message})`);
    }
    this.#objects = objects;
    if (this.problems.length > 0) this.#setAside(objects);
  }

  /** The broken file stays in place until one without the unreadable parts is on disk. */
  #setAside(objects: ReadonlyMap<string, AppliedObject>): void {
    try {
      rmSync(`${this.#path}.broken`, { force: true });
      linkSync(this.#path, `${this.#path}.broken`);
      this.#write(objects);
    } catch (error) {
      const message = `set aside applied objects: ${(error as Error).message}; read again at the next start`;
      this.problems.push({ object: this.#path, message });
    }
  }

  #take(objects: Map<string, AppliedObject>, document: unknown, index: number): void {
    try {
      const one = readDocument(document, `items[${index}]`);
      objects.set(one.key, one);
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      this.#problem(`${error.path}: ${error.message}`);
    }
  }

  #problem(reason: string): void {
    const message = `read applied objects: ${reason}; set aside as ${APPLIED_FILE}.broken`;
    this.problems.push({ object: this.#path, message });
  }
}

function readAll(documents: readonly unknown[]): AppliedObject[] {
  const places = new Map<string, string>();
  return documents.map((document, index) => {
    const path = `items[${index}]`;
    const one = readDocument(document, path);
    const other = places.get(one.key);
    if (other) throw new DocumentError(path, `${one.key} is in ${other} already; write it once`);
    places.set(one.key, path);
    return one;
  });
}

/** Reads one document like a manifest's. @param path its place in the set @throws DocumentError */
function readDocument(document: unknown, path: string): AppliedObject {
  const { kind } = (document ?? {}) as Fields;
  if (kind === "List" || listItems({ ...(document as Fields) })) {
    throw new DocumentError(`${path}.kind`, `is a ${kind}; write its items`);
  }
  const { objects, problems } = parseManifests(textOf(document, path), path, "agent");
  const wrong = problems.find(({ severity }) => (severity ?? "error") === "error");
  if (wrong) throw new DocumentError(placeOf(wrong, document, path), wordsOf(wrong, path));
  const [placed] = objects;
  if (!placed) throw new DocumentError(`${path}.kind`, problems[0]?.message ?? "is no object");
  const warnings = problems.map((one) => (one.path ? `${one.path}: ${one.message}` : one.message));
  return { key: placed.key, object: placed.object, document: complete(document as Fields, placed.object), warnings };
}

function textOf(document: unknown, path: string): string {
  try {
    return JSON.stringify(document) ?? "";
  } catch {
    throw new DocumentError(path, "is nested too deeply");
  }
}

/** A document without kind or name has a problem without a path. */
function placeOf(problem: Problem, document: unknown, path: string): string {
  if (problem.path) return `${path}.${problem.path}`;
  if (typeof document !== "object" || document === null || Array.isArray(document)) return path;
  const unnamed = ["kind", "apiVersion"].find((field) => typeof (document as Fields)[field] !== "string");
  return unnamed ? `${path}.${unnamed}` : path;
}

function wordsOf({ object, message }: Problem, path: string): string {
  return object === path ? message : `${object}: ${message}`;
}

/** Fills in the namespace, so that writing the default one is no change. */
function complete(document: Fields, { metadata }: ManifestObject): Fields {
  const { namespace } = metadata;
  const written = document["metadata"] as Fields;
  return JSON.parse(JSON.stringify({ ...document, metadata: { ...written, ...(namespace && { namespace }) } }));
}

/** The problem of an object that is both applied and in the watched source, which takes precedence. */
export const doubled = (key: string): Problem => ({
  object: key,
  severity: "warning",
  message: `is both applied and in the watched source, which takes precedence; remove the applied one: weir delete ${quote(key).slice(1, -1)}`,
});
