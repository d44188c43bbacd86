import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a file atomically and durably: after a crash there is either the old or the new file. It is first written as
 * `PATH.new`, which is removed if that fails. @throws the file system's error
 */
export function writeAtomically(path: string, text: string, mode = 0o600): void {
  const beside = `${path}.new`;
  try {
    withFile(beside, "w", mode, (fd) => {
      writeFileSync(fd, text); // writes everything: a single write may be partial
      fsyncSync(fd);
    });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  // A rename is durable only after its folder is synced.
  withFile(dirname(path), "r", 0, fsyncSync);
}

/** Likewise for a file of the agent's state, whose folder is created if it is missing. */
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
