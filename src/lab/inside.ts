import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { codeOf, LabError } from "./errors.ts";

/** Names a file without opening it: nothing happens to a FIFO, and a link is itself. */
const O_PATH = 0o10000000;
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY;
/** As many as the kernel follows. */
const MOST_LINKS = 40;

/** What a path below a root comes to. */
export interface Inside {
  /** Names from the root on, without any link. */
  path: string;
  /** `device:inode`; undefined if it is not there. */
  id: string | undefined;
  directory: boolean;
}

export interface InsideOptions {
  /** Make what is missing: directories, and the last part as what is said here. */
  make?: "directory" | "file";
  /** Where an absolute link leads: out of a volume, but to the root of an image. */
  absolute: "out" | "root";
}

/**
 * Follows a path below `root`, whose content may be a container's, which may change it meanwhile: component by
 * component, each looked up in the directory that is held open, so that no link leads out, not even for a moment.
 * Nothing is made outside. @throws LabError `bad-volume` if the path leads out.
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

  /** False if there is nothing of that name, and nothing is to be made. */
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
