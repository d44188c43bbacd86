import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { quote } from "../../model/text.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** Write permission of group and others. */
const FOREIGN_WRITE = 0o022;
const STICKY = 0o1000;
const ROOT = 0;

/**
 * A folder that only root can have written: each directory on its path and each file in it belongs to root, nobody else
 * can write there, and none is a symbolic link. It is opened step by step, each relative to the previous one, so that
 * nothing can be replaced after it was checked.
 */
export class OwnedFolder {
  readonly path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** Opens it for one read. @throws Error with the offending path, and how to correct it */
  static open(path: string): OwnedFolder {
    let at = "/";
    let fd = openSync("/", O_RDONLY | O_DIRECTORY);
    try {
      assertOwned(fstatSync(fd), at);
      for (const name of path.split("/").filter((part) => part !== "")) {
        if (name === "." || name === "..") throw new Error(`open folder ${quote(path)}: it has "${name}" in its path`);
        at = at === "/" ? `/${name}` : `${at}/${name}`;
        const next = step(fd, name, at, O_DIRECTORY);
        closeSync(fd);
        fd = next;
        assertOwned(fstatSync(fd), at);
      }
      return new OwnedFolder(path, fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Content of a file in the folder. @throws Error: missing, a link, not owned by root, too large */
  read(name: string, most: number): Buffer {
    const at = `${this.path}/${name}`;
    if (!isFileName(name)) throw new Error(`read ${quote(at)}: ${quote(name)} is no plain file name`);
    const fd = step(this.#fd, name, at, O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Error(`read ${quote(at)}: it is no file`);
      assertOwned(stats, at);
      if (stats.size > most) throw new Error(`read ${quote(at)}: ${stats.size} bytes, at most ${most} are read`);
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Whether a name is a plain file name: no path, not hidden. */
export const isFileName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name);

/** Opens a name relative to an open directory, like openat. */
function step(directory: number, name: string, at: string, flags: number): number {
  try {
    return openSync(`/proc/self/fd/${directory}/${name}`, O_RDONLY | O_NOFOLLOW | flags);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const isLink = code === "ELOOP" || (code === "ENOTDIR" && flags === O_DIRECTORY);
    const why = isLink ? "it is a symbolic link, or no folder" : code === "ENOENT" ? "it is not there" : code;
    throw new Error(`open ${quote(at)}: ${why}`, { cause });
  }
}

/** In a directory with the sticky bit only root can rename or remove root's files. */
function assertOwned({ uid, mode }: Stats, at: string): void {
  if (uid !== ROOT) throw new Error(`open ${quote(at)}: it belongs to user ${uid}, not to root (chown root ${at})`);
  const isSafe =
    (mode & FOREIGN_WRITE) === 0 || ((mode & STICKY) !== 0 && (mode & constants.S_IFMT) === constants.S_IFDIR);
  if (!isSafe) throw new Error(`open ${quote(at)}: others than root can write there (chmod go-w ${at})`);
}
