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
import type { Problem } from "../../model/objects.ts";
import { quote } from "../../model/text.ts";
import { LARGEST_FILE } from "./document.ts";

/** A manifest file as it lies on disk. `name` is relative to the root, `stamp` changes when its content may have. */
export interface FoundFile {
  name: string;
  path: string;
  stamp: string;
}

/** What lies below a path. `folders` are those whose entries decide about it: links' targets included. */
export interface FoundManifests {
  files: FoundFile[];
  folders: Set<string>;
  problems: Problem[];
}

const DEEPEST = 16;
const MOST_FILES = 20_000;
const MANIFEST = /\.(ya?ml|json)$/i;

/** Raised when the path itself cannot be read. `code` is the system's, e.g. `ENOENT`. */
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

/** Is this the name of a manifest file? Hidden files and editors' leftovers are not. */
export function isManifest(name: string): boolean {
  return MANIFEST.test(name) && !name.startsWith(".") && !name.startsWith("#");
}

/**
 * Finds the manifest files of a path: itself, or all below it but hidden ones. Symbolic links are followed
 * (a mounted ConfigMap is made of them), each folder is entered once. Throws ManifestError if the path is unreadable.
 */
export function findManifests(root: string): FoundManifests {
  const found: FoundManifests = { files: [], folders: new Set(), problems: [] };
  try {
    findBelow(root, found);
  } catch (cause) {
    // Also what goes away between two looks at it.
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
  // A file that is replaced by rename is another file: only its folder knows.
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
      // Gone between the listing and the look, or a link to nowhere: the first is normal, the second worth a word.
      const worth = isManifest(entry.name) || entry.isDirectory();
      if (worth) found.problems.push(unreadable(shownName(relative(root, join(folder, entry.name))), cause));
    }
  }
}

function visit(root: string, path: string, entry: Dirent, seen: Set<string>, found: FoundManifests): void {
  const stats = statSync(path, { bigint: true });
  if (stats.isDirectory()) walk(root, path, stats, seen, found);
  // Reading a pipe or a device would never end.
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

/** Reads one file's text, or says why not. A pipe put in a file's place does not block. */
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

// Inode and both times: a rename into place changes the inode, a write in place the times.
function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** File names are hostile too. */
function shownName(name: string): string {
  return /^[\w./@ +=,:-]*$/.test(name) ? name : quote(name);
}
