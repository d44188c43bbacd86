import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { errnoName, KernelError, systemErrno } from "./errors.ts";
import { libc } from "./ffi.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A lock that its process holds until `release`, or until it ends, however it ends. */
export interface Lock {
  release(): void;
}

/**
 * Locks a directory or file that is there, for this process alone: nothing is written.
 * @throws KernelError `locked` if another process holds it, `lock-failed` for any other reason
 */
export function lockPath(path: string): Lock {
  const fd = open(path);
  if ((libc.flock(fd, LOCK_EX | LOCK_NB) as number) === 0) return { release: () => closeSync(fd) };
  const errno = errnoName(koffi.errno());
  closeSync(fd);
  if (errno === "EAGAIN") throw new KernelError(`lock ${path}`, { code: "locked", hint: "another process holds it" });
  throw new KernelError(`lock ${path}`, { code: "lock-failed", errno });
}

function open(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new KernelError(`lock ${path}`, { code: "lock-failed", errno: systemErrno(cause), cause });
  }
}
