import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { codeOf } from "./errors.ts";
import { mounts } from "./mounts.ts";
import { listLabs } from "./record.ts";
import { run } from "./run.ts";

/** Where network namespaces have names, for all of the machine: `ip netns` makes it a mount, and so do labs. */
export const NETNS_DIR = "/run/netns";

/** What labs made of it: nobody's in particular, so that labs that go at the same time owe each other nothing. */
const Note = z.object({ directory: z.boolean(), mount: z.boolean() });
const noteOf = (root: string): string => `${root}/.netns.json`;

const isMounted = (): boolean => mounts().some((mount) => mount.path === NETNS_DIR);

/** Does what the first `ip netns add` of a machine does: makes it a shared mount of itself. `root`: folder of all labs. */
export async function makeNetnsDir(root: string): Promise<void> {
  const note = { directory: !existsSync(NETNS_DIR), mount: !isMounted() };
  if (note.directory || note.mount) writeNote(root, note);
  mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  if (!note.mount) return;
  await run("mount", ["-n", "--bind", NETNS_DIR, NETNS_DIR]);
  await run("mount", ["-n", "--make-shared", NETNS_DIR]);
}

/** The first lab's word stands: later ones see what it has made. */
function writeNote(root: string, note: z.infer<typeof Note>): void {
  try {
    writeFileSync(noteOf(root), JSON.stringify(note), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** Undoes it once no lab is left, unless somebody else has namespaces there by now. */
export async function giveBackNetnsDir(root: string): Promise<void> {
  if (listLabs(root).length > 0 || !existsSync(noteOf(root))) return;
  const { directory, mount } = readNote(root);
  const others = existsSync(NETNS_DIR) && readdirSync(NETNS_DIR).length > 0;
  if (mount && !others) {
    await run("umount", ["-n", NETNS_DIR]).catch((error) => {
      if (isMounted()) throw error; // else another lab that went with this one was first
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
  } catch {} // somebody is in it, or it is gone
}
