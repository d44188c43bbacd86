import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import * as z from "zod";
import { codeOf } from "./errors.ts";
import { mounts } from "./mounts.ts";
import { listLabs } from "./record.ts";
import { run } from "./run.ts";

/** Directory of named network namespaces. `ip netns` makes it a mount, and so do labs. */
export const NETNS_DIR = "/run/netns";

/** Records whether labs created the directory and the mount. It belongs to no single lab: the last one removes both. */
const Note = z.object({ directory: z.boolean(), mount: z.boolean() });
const noteOf = (root: string): string => `${root}/.netns.json`;

const isMounted = (): boolean => mounts().some((mount) => mount.path === NETNS_DIR);

/**
 * Does the same as the first `ip netns add` of a machine: makes the directory a shared mount of itself. `root`: folder
 * of all labs.
 */
export async function makeNetnsDir(root: string): Promise<void> {
  const note = { directory: !existsSync(NETNS_DIR), mount: !isMounted() };
  if (note.directory || note.mount) writeNote(root, note);
  mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  if (!note.mount) return;
  await run("mount", ["-n", "--bind", NETNS_DIR, NETNS_DIR]);
  await run("mount", ["-n", "--make-shared", NETNS_DIR]);
}

/** The first lab's record stays: later labs only find what it created. */
function writeNote(root: string, note: z.infer<typeof Note>): void {
  try {
    writeFileSync(noteOf(root), JSON.stringify(note), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** Removes the mount and the directory once no lab is left, unless others have namespaces there. */
export async function giveBackNetnsDir(root: string): Promise<void> {
  if (listLabs(root).length > 0 || !existsSync(noteOf(root))) return;
  const { directory, mount } = readNote(root);
  const others = existsSync(NETNS_DIR) && readdirSync(NETNS_DIR).length > 0;
  if (mount && !others) {
    await run("umount", ["-n", NETNS_DIR]).catch((error) => {
      if (isMounted()) throw error; // Another lab that ended at the same time was first.
    });
  }
  if (directory && !others) removeIfEmpty(NETNS_DIR);
  rmSync(noteOf(root), { force: true });
}

function readNote(root: string): z.infer<typeof Note> {
  try {
    return Note.parse(JSON.parse(readFileSync(noteOf(root), "utf8")));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { directory: false, mount: false };
    throw error;
  }
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {} // It is in use, or gone.
}
