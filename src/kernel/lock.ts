import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { errnoName, KernelError, systemErrno } from "./errors.ts";
import { libc } from "./ffi.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A lock that this process holds until `release`, or until it ends in any way. */
export interface Lock {
  release(): void;
}

/**
 * Locks an existing directory or file exclusively, without writing.
 * @throws KernelError `locked`: another process holds it; `lock-failed`: any other reason
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
