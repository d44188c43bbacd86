import { existsSync } from "node:fs";
import { KernelError, type Lock, lockPath } from "../kernel/index.ts";

/**
 * Locks a node's pins and state for this process: two agents on the same would undo each other's work, and the first to
 * stop would remove both. Missing folders are ignored. @throws Error if another process holds a lock
 */
export function lockNode(what: string, folders: readonly string[]): Lock {
  const locks: Lock[] = [];
  const release = (): void => {
    for (const lock of locks.splice(0)) lock.release();
  };
  for (const folder of folders.filter((path) => existsSync(path))) {
    try {
      locks.push(lockPath(folder));
    } catch (cause) {
      release();
      if (!(cause instanceof KernelError) || cause.code !== "locked") throw cause;
      throw new Error(`${what}: an agent runs on ${folder} (stop it first)`, { cause });
    }
  }
  return { release };
}
