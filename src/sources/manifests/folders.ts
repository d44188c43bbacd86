import { type FSWatcher, watch } from "node:fs";

/**
 * Watches a changing set of folders. An event only requests a scan. Uses the kernel's events directly: a library that
 * throttles and compares them misses the second of two quick writes.
 */
export class FolderWatch {
  readonly #onEvent: () => void;
  readonly #watch: typeof watch;
  readonly #watchers = new Map<string, FSWatcher>();
  #trouble: string | undefined;

  constructor(onEvent: () => void, watchFolder: typeof watch = watch) {
    this.#onEvent = onEvent;
    this.#watch = watchFolder;
  }

  /** Why the kernel cannot notify of changes in some folders. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Sets the watched folders. Returns true if one was added: earlier changes in it are unknown. */
  follow(folders: ReadonlySet<string>): boolean {
    let added = false;
    this.#trouble = undefined;
    for (const [folder, watcher] of this.#watchers) if (!folders.has(folder)) this.#drop(folder, watcher);
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      added = this.#add(folder) || added;
    }
    return added;
  }

  /** The number of watched folders. */
  get size(): number {
    return this.#watchers.size;
  }

  close(): void {
    for (const [folder, watcher] of this.#watchers) this.#drop(folder, watcher);
  }

  #add(folder: string): boolean {
    try {
      const watcher = this.#watch(folder, { persistent: true });
      watcher.on("change", (event, name) => {
        // the removal of a watched folder shows as a rename of itself; its replacement is another folder
        if (event === "rename" && name !== null && folder.endsWith(`/${String(name)}`)) this.#drop(folder, watcher);
        this.#onEvent();
      });
      watcher.on("error", () => {
        this.#drop(folder, watcher);
        this.#onEvent();
      });
      this.#watchers.set(folder, watcher);
      return true;
    } catch (error) {
      // removed again, or out of watches: the periodic scan finds changes later
      this.#trouble ??= watchFault(error);
      return false;
    }
  }

  #drop(folder: string, watcher: FSWatcher): void {
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
    watcher.close();
  }
}

/** Which resource is used up, if that is why a folder cannot be watched. */
export function watchFault(error: unknown): string | undefined {
  return NOTHING_LEFT[(error as NodeJS.ErrnoException).code ?? ""];
}

/** By error code; both limits are per user. */
const NOTHING_LEFT: Readonly<Record<string, string>> = {
  EMFILE: "no inotify instance is left (raise fs.inotify.max_user_instances)",
  ENOSPC: "no inotify watch is left (raise fs.inotify.max_user_watches)",
};
