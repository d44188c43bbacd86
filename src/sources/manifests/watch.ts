import type { watch } from "node:fs";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { quote } from "../../model/text.ts";
import { ManifestError } from "./files.ts";
import { FolderWatch } from "./folders.ts";
import type { Reader } from "./judge.ts";
import type { ManifestSnapshot } from "./merge.ts";
import { ManifestStore } from "./store.ts";

export interface WatchOptions {
  /** A file, or a folder with all files below it. */
  path: string;
  /** The reader for whom objects are validated. */
  reader: Reader;
  /**
   * Called after each change, not within a file event. `keys` are `Kind/namespace/name`; empty: only problems changed.
   */
  onChange(keys: ReadonlySet<string>): void;
  signal?: AbortSignal | undefined;
  /** Events within this time are one change, ms. */
  settle?: number | undefined;
  /** A deletion only counts if it still holds after this time, ms. */
  doubt?: number | undefined;
  /** Interval of full scans, ms, in case the kernel lost an event. */
  rescan?: number | undefined;
  /** The function that watches a folder. */
  watchFolder?: typeof watch | undefined;
}

/** A problem of a source itself. `staleSince`: since when its state may be out of date, ms since the epoch. */
export interface Trouble extends Problem {
  staleSince?: number | undefined;
}

export interface ManifestWatch {
  /** Resolves after the first scan. Rejects with ManifestError if the path cannot be read. */
  readonly synced: Promise<void>;
  /** The present objects and problems. */
  snapshot(): ManifestSnapshot;
  /** The present object of a key, `Kind/namespace/name`. */
  object(key: string): ManifestObject | undefined;
  /** Number of objects. */
  readonly size: number;
  /** Problems of objects and of the source. */
  problems(): readonly Problem[];
  /** Problems of the source itself, which are among the problems too. */
  troubles(): readonly Trouble[];
  close(): Promise<void>;
}

/** Reads the manifests of a path once. @throws ManifestError if the path cannot be read */
export function readManifests(path: string, reader: Reader = "lab"): ManifestSnapshot {
  const store = new ManifestStore(path, reader);
  store.scan(true);
  return store.snapshot;
}

/**
 * Watches the manifests of a path. Notices edits in place, atomic renames, and symlink swaps of mounted ConfigMaps;
 * only parses changed files. If the path is removed, the last state is kept.
 */
export function watchManifests(options: WatchOptions): ManifestWatch {
  const watcher = new Watcher(options);
  const synced = watcher.start();
  // nobody has to wait for this promise, so its rejection must not be unhandled
  synced.catch(() => {});
  return {
    synced,
    snapshot: () => watcher.snapshot(),
    object: (key) => watcher.object(key),
    get size() {
      return watcher.snapshot().objects.length;
    },
    problems: () => watcher.snapshot().problems,
    troubles: () => watcher.troubles(),
    close: async () => watcher.close(),
  };
}

const RESCAN = 15_000;

class Watcher {
  readonly #options: WatchOptions;
  readonly #store: ManifestStore;
  readonly #folders: FolderWatch;
  #trouble: { error: ManifestError; since: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #regular: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #doubtSince: number | undefined;
  #closed = false;
  readonly #abort = (): void => this.close();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#store = new ManifestStore(options.path, options.reader);
    this.#folders = new FolderWatch(() => this.#schedule(options.settle ?? 10), options.watchFolder);
  }

  async start(): Promise<void> {
    const { path, signal, rescan = RESCAN } = this.#options;
    if (signal?.aborted) throw new Error(`watch manifests ${path}: aborted before they were read`);
    // twice: the second scan finds changes between the first and the start of watching
    this.#store.scan(true);
    while (this.#folders.follow(this.#store.folders)) this.#store.scan(true);
    this.#regular = setInterval(() => this.#schedule(0), rescan);
    signal?.addEventListener("abort", this.#abort, { once: true });
  }

  snapshot(): ManifestSnapshot {
    const { snapshot } = this.#store;
    const problems = this.troubles().map(({ staleSince: _, ...problem }) => problem);
    return problems.length === 0 ? snapshot : { ...snapshot, problems: [...problems, ...snapshot.problems] };
  }

  object(key: string): ManifestObject | undefined {
    return this.#store.object(key);
  }

  troubles(): Trouble[] {
    const object = "manifests";
    const troubles: Trouble[] = [];
    if (this.#trouble) {
      const { error, since } = this.#trouble;
      troubles.push({ object, message: `${error.message}; the last state stays`, staleSince: since });
    }
    const { trouble } = this.#folders;
    if (trouble !== undefined) {
      const { path, rescan = RESCAN } = this.#options;
      const message = `watch ${quote(path)}: ${trouble}; changes are found by looking every ${rescan / 1000} s`;
      troubles.push({ object, message, severity: "warning" });
    }
    return troubles;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#regular);
    this.#folders.close();
    this.#options.signal?.removeEventListener("abort", this.#abort);
  }

  #schedule(delay: number): void {
    const at = performance.now() + delay;
    if (this.#closed || at >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = at;
    this.#timer = setTimeout(() => this.#scan(), delay);
  }

  #scan(): void {
    this.#due = Number.POSITIVE_INFINITY;
    const before = this.#told();
    const { changed, problemsChanged } = this.#look();
    if (changed.size > 0 || problemsChanged || before !== this.#told()) this.#options.onChange(changed);
  }

  #told(): string {
    return JSON.stringify(this.troubles());
  }

  #look(): { changed: ReadonlySet<string>; problemsChanged: boolean } {
    const { doubt = 50 } = this.#options;
    const certain = this.#doubtSince !== undefined && performance.now() - this.#doubtSince >= doubt;
    try {
      const result = this.#store.scan(certain);
      this.#trouble = undefined;
      this.#doubtSince = result.unsure ? (this.#doubtSince ?? performance.now()) : undefined;
      if (this.#doubtSince !== undefined) this.#schedule(Math.max(1, this.#doubtSince + doubt + 1 - performance.now()));
      if (this.#folders.follow(this.#store.folders)) this.#schedule(0);
      return result;
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      this.#trouble = { error, since: this.#trouble?.since ?? Date.now() };
      this.#schedule(500);
      return { changed: new Set(), problemsChanged: false };
    }
  }
}
