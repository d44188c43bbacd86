import { isDeepStrictEqual } from "node:util";
import { objectKey } from "../../model/names.ts";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { type FoundFile, findManifests, readManifest } from "./files.ts";
import type { Reader } from "./judge.ts";
import { type FileState, loses, type ManifestSnapshot, mergeFiles, reduceFile } from "./merge.ts";
import { parseManifests } from "./parse.ts";

interface KnownFile {
  stamp: string;
  state: FileState;
}

/** Result of a scan. `unsure`: objects seem to be deleted, which another scan must confirm. */
export interface ScanResult {
  changed: ReadonlySet<string>;
  problemsChanged: boolean;
  unsure: boolean;
}

/** The manifests of one path in memory. `scan()` checks all files and parses changed ones, synchronously. */
export class ManifestStore {
  #files = new Map<string, KnownFile>();
  #byKey = new Map<string, ManifestObject>();
  #snapshot: ManifestSnapshot = { objects: [], problems: [] };
  readonly #path: string;
  readonly #reader: Reader;
  /** Folders of the last scan. */
  folders: ReadonlySet<string> = new Set();
  /** Number of files parsed so far. */
  parsed = 0;

  constructor(path: string, reader: Reader) {
    this.#path = path;
    this.#reader = reader;
  }

  get snapshot(): ManifestSnapshot {
    return this.#snapshot;
  }

  /** By `Kind/namespace/name`. */
  object(key: string): ManifestObject | undefined {
    return this.#byKey.get(key);
  }

  /**
   * Editors and shells empty or remove a file before they write it, so objects only count as deleted if `certain`;
   * otherwise the old state is kept and the result is `unsure`. @throws ManifestError if the path is unreadable; the
   * state is kept
   */
  scan(certain: boolean): ScanResult {
    const { files, folders, problems } = findManifests(this.#path);
    this.folders = folders;
    const next = new Map<string, KnownFile>();
    let unsure = false;
    for (const file of files) {
      const { known, doubtful } = this.#look(file, certain);
      unsure ||= doubtful;
      if (known) next.set(file.name, known);
    }
    for (const [name, known] of this.#files) {
      if (next.has(name)) continue;
      if (certain || known.state.objects.length === 0) continue;
      unsure = true;
      next.set(name, known);
    }
    this.#files = next;
    return { ...this.#publish(problems), unsure };
  }

  #look(file: FoundFile, certain: boolean): { known: KnownFile | undefined; doubtful: boolean } {
    const before = this.#files.get(file.name);
    if (before?.stamp === file.stamp) return { known: before, doubtful: false };
    const read = readManifest(file);
    if ("problem" in read) {
      if (read.missing) return { known: certain ? undefined : before, doubtful: !certain };
      const state = { objects: before?.state.objects ?? [], problems: [read.problem] };
      return { known: { stamp: file.stamp, state }, doubtful: false };
    }
    this.parsed += 1;
    const state = reduceFile(before?.state, parseManifests(read.text, file.name, this.#reader));
    if (!certain && loses(before?.state, state)) return { known: before, doubtful: true };
    return { known: { stamp: file.stamp, state }, doubtful: false };
  }

  #publish(found: readonly Problem[]): { changed: Set<string>; problemsChanged: boolean } {
    const merged = mergeFiles(new Map([...this.#files].map(([name, { state }]) => [name, state])));
    const changed = new Set<string>();
    const byKey = new Map<string, ManifestObject>();
    const objects: ManifestObject[] = [];
    for (const object of merged.objects) {
      const key = objectKey(object.kind, object.metadata);
      const before = this.#byKey.get(key);
      // an equal object keeps its identity, so that results derived from it stay valid
      const same = before !== undefined && (before === object || isDeepStrictEqual(before, object));
      if (!same) changed.add(key);
      byKey.set(key, same ? before : object);
      objects.push(same ? before : object);
    }
    for (const key of this.#byKey.keys()) if (!byKey.has(key)) changed.add(key);
    const problems = [...found, ...merged.problems];
    const problemsChanged = !isDeepStrictEqual(problems, this.#snapshot.problems);
    this.#byKey = byKey;
    if (changed.size > 0 || problemsChanged) this.#snapshot = { objects, problems };
    return { changed, problemsChanged };
  }
}
