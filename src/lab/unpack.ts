import {
  chmodSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { LabError } from "./errors.ts";
import { readTar, type TarEntry } from "./tar.ts";

/**
 * Unpacks one image layer into `root`. The archive is not trusted: no member may be written or linked outside `root` by
 * "..", an absolute path, or a symbolic link of an earlier member. Devices and FIFOs are skipped. Throws LabError
 * `bad-layer`.
 */
export function unpackLayer(archive: Buffer, root: string): void {
  for (const entry of readTar(archive)) {
    const parts = safeParts(entry.path);
    const base = parts.at(-1);
    if (base === undefined) continue;
    const parent = enter(root, parts.slice(0, -1));
    if (base === ".wh..wh..opq") emptyDirectory(parent);
    else if (base.startsWith(".wh.")) whiteout(parent, base.slice(4));
    else write(root, `${parent}/${base}`, entry);
  }
}

function whiteout(parent: string, name: string): void {
  if (name === "" || name === "." || name === "..") {
    throw new LabError("bad-layer", `unpack .wh.${name}: refused, the path leaves its directory`);
  }
  rmSync(`${parent}/${name}`, { recursive: true, force: true });
}

/** Components of a member's path below the root. An absolute path is treated as relative, as tar does. */
function safeParts(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || path.includes("\0")) {
    throw new LabError("bad-layer", `unpack ${JSON.stringify(path)}: refused, the path leaves the image`);
  }
  return parts;
}

/** The real directory of `parts` below `root`, created where missing. A symbolic link on the way is refused. */
function enter(root: string, parts: readonly string[]): string {
  let path = root;
  for (const part of parts) {
    path = `${path}/${part}`;
    const found = stat(path);
    if (found === undefined) mkdirSync(path);
    else if (!found.isDirectory()) {
      throw new LabError(
        "bad-layer",
        `unpack below ${path.slice(root.length)}: refused, it is no directory in the image`,
      );
    }
  }
  return path;
}

function stat(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function emptyDirectory(path: string): void {
  for (const name of readdirSync(path)) rmSync(`${path}/${name}`, { recursive: true, force: true });
}

function write(root: string, path: string, entry: TarEntry): void {
  const found = stat(path);
  if (found !== undefined && !(found.isDirectory() && entry.type === "directory")) {
    rmSync(path, { recursive: true, force: true });
  }
  if (entry.type === "directory") {
    if (found?.isDirectory() !== true) mkdirSync(path);
    chmodSync(path, entry.mode);
  } else if (entry.type === "symlink") symlinkSync(entry.linkPath, path);
  else if (entry.type === "link") link(root, path, entry);
  else if (entry.type === "file") writeNew(path, entry);
}

function link(root: string, path: string, entry: TarEntry): void {
  const parts = safeParts(entry.linkPath);
  const base = parts.at(-1);
  const target = base === undefined ? undefined : `${enter(root, parts.slice(0, -1))}/${base}`;
  if (target === undefined || stat(target)?.isFile() !== true) {
    throw new LabError("bad-layer", `unpack ${JSON.stringify(entry.path)}: refused, it links to no file of the image`);
  }
  linkSync(target, path);
}

/** O_EXCL and O_NOFOLLOW: an existing file or link at the path is never written through. */
function writeNew(path: string, entry: TarEntry): void {
  const fd = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    for (let done = 0; done < entry.data.length; ) done += writeSync(fd, entry.data, done);
  } finally {
    closeSync(fd);
  }
  chmodSync(path, entry.mode);
}
