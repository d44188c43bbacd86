/**
 * Writes the "newc" archive that Linux unpacks as its initial root from a list of entries, without a staging directory.
 */

import { once } from "node:events";
import { createReadStream, type Stats, statSync } from "node:fs";
import type { Writable } from "node:stream";

export type Entry =
  | { kind: "directory"; path: string }
  | { kind: "file"; path: string; source: string }
  | { kind: "text"; path: string; text: string; executable?: boolean }
  | { kind: "symlink"; path: string; target: string };

const DIRECTORY = 0o040755;
const FILE = 0o100644;
const EXECUTABLE = 0o100755;
const SYMLINK = 0o120777;

/** Writes entries and the trailer; parents must come before their children. Archives may be concatenated. */
export async function writeArchive(out: Writable, entries: Iterable<Entry>): Promise<void> {
  let inode = 1;
  for (const entry of entries) await writeEntry(out, entry, inode++);
  await write(out, header("TRAILER!!!", 0, 0, 0));
}

async function writeEntry(out: Writable, entry: Entry, inode: number): Promise<void> {
  if (entry.kind === "directory") return write(out, header(entry.path, inode, DIRECTORY, 0));
  if (entry.kind === "file") return writeFile(out, entry.path, entry.source, statSync(entry.source), inode);
  const data = Buffer.from(entry.kind === "text" ? entry.text : entry.target);
  const mode = entry.kind === "symlink" ? SYMLINK : entry.executable ? EXECUTABLE : FILE;
  await write(out, Buffer.concat([header(entry.path, inode, mode, data.length), data, padding(data.length)]));
}

async function writeFile(out: Writable, path: string, source: string, stat: Stats, inode: number): Promise<void> {
  await write(out, header(path, inode, stat.mode & 0o111 ? EXECUTABLE : FILE, stat.size));
  let size = 0;
  for await (const chunk of createReadStream(source, { highWaterMark: 1 << 20 })) {
    size += (chunk as Buffer).length;
    await write(out, chunk as Buffer);
  }
  if (size !== stat.size) throw new Error(`archive ${source}: changed while being read`);
  await write(out, padding(size));
}

async function write(out: Writable, data: Buffer): Promise<void> {
  if (data.length > 0 && !out.write(data)) await once(out, "drain");
}

/** Field order: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's tree. */
function header(path: string, inode: number, mode: number, size: number): Buffer {
  const name = path.replace(/^\/+/, "");
  const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, Buffer.byteLength(name) + 1, 0];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  const data = Buffer.from(text);
  return Buffer.concat([data, padding(data.length)]);
}

function padding(size: number): Buffer {
  return Buffer.alloc(-size & 3);
}
