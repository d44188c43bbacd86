import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { codeOf, LabError } from "./errors.ts";

/** Opens a path without opening the file: a FIFO is not affected, and a symbolic link is not followed. */
const O_PATH = 0o10000000;
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY;
/** The kernel's own limit of symbolic links. */
const MOST_LINKS = 40;

/** A resolved path below a root. */
export interface Inside {
  /** The path from the root, without symbolic links. */
  path: string;
  /** `device:inode`; undefined if it does not exist. */
  id: string | undefined;
  directory: boolean;
}

export interface InsideOptions {
  /** Creates missing parts: directories, and the last part as given here. */
  make?: "directory" | "file";
  /** The meaning of an absolute symbolic link: it leaves a volume, but is relative to the root of an image. */
  absolute: "out" | "root";
}

/**
 * Resolves a path below `root`. A container may control the content and change it during the call, so each component is
 * looked up in a directory that is held open: no symbolic link leads out at any time, and nothing is created outside.
 * @throws LabError `bad-volume` if the path leads out
 */
export function inside(root: string, path: string, options: InsideOptions): Inside {
  const walk = new Walk(root, path, options);
  try {
    return walk.run();
  } finally {
    walk.close();
  }
}

class Walk {
  readonly #path: string;
  readonly #options: InsideOptions;
  /** Open directories from the root on, and their names. */
  readonly #held: number[];
  readonly #names: string[] = [];
  readonly #ahead: string[];
  #links = 0;

  constructor(root: string, path: string, options: InsideOptions) {
    this.#path = path;
    this.#options = options;
    this.#ahead = partsOf(path);
    this.#held = [openSync(root, O_PATH | constants.O_DIRECTORY)];
  }

  run(): Inside {
    for (let name = this.#ahead.shift(); name !== undefined; name = this.#ahead.shift()) {
      if (name === "..") this.#up();
      else if (!this.#enter(name)) return { path: this.#at([name, ...this.#ahead]), id: undefined, directory: false };
    }
    const { dev, ino, isDirectory } = statOf(this.#top);
    return { path: this.#at([]), id: `${dev}:${ino}`, directory: isDirectory };
  }

  close(): void {
    for (const fd of this.#held) closeSync(fd);
  }

  get #top(): number {
    return this.#held.at(-1) as number;
  }

  #at(rest: readonly string[]): string {
    return ["", ...this.#names, ...rest].join("/");
  }

  #up(): void {
    if (this.#held.length === 1) throw this.#leadsOut();
    closeSync(this.#held.pop() as number);
    this.#names.pop();
  }

  /** False if the name does not exist and is not to be created. */
  #enter(name: string): boolean {
    const path = `/proc/self/fd/${this.#top}/${name}`;
    const fd = this.#open(path);
    if (fd === undefined) return false;
    if (!statOf(fd).isLink) {
      this.#held.push(fd);
      this.#names.push(name);
      return true;
    }
    closeSync(fd);
    this.#follow(readlinkSync(path));
    return true;
  }

  #open(path: string): number | undefined {
    try {
      return openSync(path, O_PATH | constants.O_NOFOLLOW);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
    const { make } = this.#options;
    if (make === undefined) return undefined;
    try {
      if (make === "file" && this.#ahead.length === 0) closeSync(openSync(path, NEW_FILE, 0o644));
      else mkdirSync(path);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error; // else another was first
    }
    return openSync(path, O_PATH | constants.O_NOFOLLOW);
  }

  #follow(target: string): void {
    if (++this.#links > MOST_LINKS) throw this.#leadsOut("too many links");
    if (target.startsWith("/")) {
      if (this.#options.absolute === "out") throw this.#leadsOut();
      while (this.#held.length > 1) this.#up();
    }
    this.#ahead.unshift(...partsOf(target));
  }

  #leadsOut(why = "it leads out"): LabError {
    return new LabError("bad-volume", `follow ${JSON.stringify(this.#path)} in a volume: refused (${why})`);
  }
}

function statOf(fd: number): { dev: bigint; ino: bigint; isLink: boolean; isDirectory: boolean } {
  const stats = fstatSync(fd, { bigint: true });
  return { dev: stats.dev, ino: stats.ino, isLink: stats.isSymbolicLink(), isDirectory: stats.isDirectory() };
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
