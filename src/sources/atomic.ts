import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a file whole and on disk: a reader, or a crash, finds the old one or the new one. Mode 0600; the folder is made
 * again if someone removed it.
 */
export function writeAtomically(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  withFile(`${path}.new`, "w", (fd) => {
    writeSync(fd, text);
    fsyncSync(fd);
  });
  renameSync(`${path}.new`, path);
  // A rename is on disk only when its folder is.
  withFile(dirname(path), "r", fsyncSync);
}

function withFile(path: string, flags: string, use: (fd: number) => void): void {
  const fd = openSync(path, flags, 0o600);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
