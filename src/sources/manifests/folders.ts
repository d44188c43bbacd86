import { type FSWatcher, watch } from "node:fs";

/**
 * Watches a changing set of folders. Every event only says "look again".
 * The kernel's own events, because a library that compares and throttles them loses the second of two quick writes.
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

  /** Why the kernel does not tell of some folders' changes. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Watches exactly these folders from now on. True if one was added: what happened in it before is unseen. */
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

  /** How many folders are watched. */
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
        // A folder's own removal shows as a rename of itself: what replaces it is another folder.
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
      // Gone again, or nothing left to watch with: the regular look finds every change, only later.
      this.#trouble ??= watchFault(error);
      return false;
    }
  }

  #drop(folder: string, watcher: FSWatcher): void {
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
    watcher.close();
  }
}

/** What is used up, if that is why a folder cannot be watched. */
export function watchFault(error: unknown): string | undefined {
  return NOTHING_LEFT[(error as NodeJS.ErrnoException).code ?? ""];
}

/** By the error's code; both are counted by user. */
const NOTHING_LEFT: Readonly<Record<string, string>> = {
  EMFILE: "no inotify instance is left (raise fs.inotify.max_user_instances)",
  ENOSPC: "no inotify watch is left (raise fs.inotify.max_user_watches)",
};
