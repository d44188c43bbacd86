import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a file whole and on disk: a reader, or a crash, finds the old one or the new one. It is written beside, as
 * `PATH.new`, which does not stay where the disk refuses it. Throws what the disk says.
 */
export function writeAtomically(path: string, text: string, mode = 0o600): void {
  const beside = `${path}.new`;
  try {
    withFile(beside, "w", mode, (fd) => {
      writeFileSync(fd, text); // all of it: one write may take a part
      fsyncSync(fd);
    });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  // A rename is on disk only when its folder is.
  withFile(dirname(path), "r", 0, fsyncSync);
}

/** The same for a file of the agent's state, whose folder is made again if someone removed it. */
export function writeState(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeAtomically(path, text);
}

function withFile(path: string, flags: string, mode: number, use: (fd: number) => void): void {
  const fd = openSync(path, flags, mode);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
