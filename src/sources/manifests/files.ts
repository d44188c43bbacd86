import {
  type BigIntStats,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { decodeText } from "../../model/encoding.ts";
import type { Problem } from "../../model/problem.ts";
import { quote } from "../../model/text.ts";
import { LARGEST_FILE } from "./document.ts";

/** A manifest file on disk. `name` is relative to the root; `stamp` changes when the content may have changed. */
export interface FoundFile {
  name: string;
  path: string;
  stamp: string;
}

/** The files below a path. `folders` are those whose entries matter, including targets of links. */
export interface FoundManifests {
  files: FoundFile[];
  folders: Set<string>;
  problems: Problem[];
}

const DEEPEST = 16;
const MOST_FILES = 20_000;
const MANIFEST = /\.(ya?ml|json)$/i;

/** The path itself cannot be read. `code` is the system's, e.g. `ENOENT`. */
export class ManifestError extends Error {
  readonly code: string;
  constructor(path: string, cause: unknown) {
    const code = codeOf(cause);
    const hint = code === "ENOENT" ? "give a file or folder of manifests" : "check its permissions";
    super(`read manifests ${quote(path)}: ${code} (${hint})`, { cause });
    this.name = "ManifestError";
    this.code = code;
  }
}

/** Whether a name is that of a manifest file. Hidden files and editors' backup files are not. */
export function isManifest(name: string): boolean {
  return MANIFEST.test(name) && !name.startsWith(".") && !name.startsWith("#");
}

/**
 * Finds the manifest files at a path: itself, or all files below it except hidden ones. Symbolic links are followed (a
 * mounted ConfigMap consists of them); each folder is read once. @throws ManifestError if the path is unreadable
 */
export function findManifests(root: string): FoundManifests {
  const found: FoundManifests = { files: [], folders: new Set(), problems: [] };
  try {
    findBelow(root, found);
  } catch (cause) {
    // also if it is removed between two calls
    throw new ManifestError(root, cause);
  }
  return found;
}

function findBelow(root: string, found: FoundManifests): void {
  const stats = statSync(root, { bigint: true });
  if (stats.isDirectory()) {
    walk(root, root, stats, new Set(), found);
    return;
  }
  found.files.push({ name: shownName(stats.isFile() ? basename(root) : root), path: root, stamp: stampOf(stats) });
  // a file replaced by rename is another file, so its folder must be watched
  found.folders.add(dirname(root)).add(dirname(realpathSync(root)));
}

function walk(root: string, folder: string, stats: BigIntStats, seen: Set<string>, found: FoundManifests): void {
  const id = `${stats.dev}:${stats.ino}`;
  if (seen.has(id) || seen.size > MOST_FILES || relative(root, folder).split("/").length > DEEPEST) return;
  seen.add(id);
  found.folders.add(folder);
  const entries = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !name.startsWith("."));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    try {
      visit(root, join(folder, entry.name), entry, seen, found);
    } catch (cause) {
      // Removed since the listing, which is normal, or a dangling link, which is a problem.
      const worth = isManifest(entry.name) || entry.isDirectory();
      if (worth) found.problems.push(unreadable(shownName(relative(root, join(folder, entry.name))), cause));
    }
  }
}

function visit(root: string, path: string, entry: Dirent, seen: Set<string>, found: FoundManifests): void {
  const stats = statSync(path, { bigint: true });
  if (stats.isDirectory()) walk(root, path, stats, seen, found);
  // reading a pipe or a device could block forever
  if (!stats.isFile() || !isManifest(entry.name)) return;
  addFile(root, path, stats, found);
  if (entry.isSymbolicLink()) found.folders.add(dirname(realpathSync(path)));
}

function addFile(root: string, path: string, stats: BigIntStats, found: FoundManifests): void {
  if (found.files.length < MOST_FILES) {
    found.files.push({ name: shownName(relative(root, path)), path, stamp: stampOf(stats) });
  } else if (found.files.length === MOST_FILES && found.problems.every((one) => one.object !== "manifests")) {
    found.problems.push({ object: "manifests", message: `more than ${MOST_FILES} files; the rest is not read` });
  }
}

/** Reads a file's text, or returns the reason why not. Does not block on a pipe that has replaced the file. */
export function readManifest(file: FoundFile): { text: string } | { problem: Problem; missing: boolean } {
  let fd: number | undefined;
  try {
    fd = openSync(file.path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    if (!stats.isFile())
      return {
        problem: { object: file.name, message: "is not a regular file (-f - reads standard input)" },
        missing: false,
      };
    if (stats.size > LARGEST_FILE) {
      const message = `has ${stats.size} bytes, more than ${LARGEST_FILE}; split it`;
      return { problem: { object: file.name, message }, missing: false };
    }
    const text = decodeText(readFileSync(fd));
    if (text.ok) return { text: text.value };
    return { problem: { object: file.name, message: text.reason }, missing: false };
  } catch (cause) {
    return { problem: unreadable(file.name, cause), missing: codeOf(cause) === "ENOENT" };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function unreadable(name: string, cause: unknown): Problem {
  return { object: name, message: `read file: ${codeOf(cause)}` };
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? "unknown error";
}

// inode and both times: a rename changes the inode, a write changes the times
function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** Makes an untrusted file name printable. */
function shownName(name: string): string {
  return /^[\w./@ +=,:-]*$/.test(name) ? name : quote(name);
}
