import { closeSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { errnoName, KernelError, systemErrno } from "./errors.ts";
import { libc } from "./ffi.ts";

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MS_REC = 16384;
const MS_SHARED = 1 << 20;
const MNT_DETACH = 2;
const SELF = "/proc/thread-self/ns/net";
const DIRECTORY = "/run/netns";

/** Path at which `createNamespace(name)` binds its namespace. */
export const namespacePath = (name: string): string => join(DIRECTORY, name);

function failed(action: string, code: string, hint?: string): KernelError {
  return new KernelError(action, {
    code,
    errno: errnoName(koffi.errno()),
    hint,
  });
}

function openNamespace(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    const errno = systemErrno(cause);
    const hint = errno === "ENOENT" ? "no such namespace" : undefined;
    throw new KernelError(`open network namespace ${path}`, {
      code: "namespace-missing",
      errno,
      hint,
      cause,
    });
  }
}

function enter(fd: number, what: string): void {
  if ((libc.setns(fd, CLONE_NEWNET) as number) === 0) return;
  throw failed(`enter network namespace ${what}`, "namespace-enter-failed");
}

/** Returns to the thread's own namespace. If that fails, the process exits: it would configure other devices. */
function leave(fd: number): void {
  try {
    enter(fd, "of this process again");
  } catch (error) {
    process.stderr.write(`weir: ${String(error)}; giving up\n`);
    process.abort();
  }
}

/** Calls `move`, which changes the thread's namespace or throws, then `fn`, then returns to the old namespace. */
function elsewhere<T>(move: () => void, fn: () => T): T {
  const home = openNamespace(SELF);
  try {
    move();
    try {
      return fn();
    } finally {
      leave(home);
    }
  } finally {
    closeSync(home);
  }
}

/**
 * Calls `fn` with this thread in the network namespace at `path`, and returns to the old one in any case. `fn` must be
 * synchronous, since only the calling thread is moved. Sockets opened in it keep the namespace.
 * @throws KernelError `namespace-missing`, `namespace-enter-failed`, `namespace-async`
 */
export function inNamespace<T>(path: string, fn: () => T): T {
  const target = openNamespace(path);
  try {
    return elsewhere(
      () => enter(target, path),
      () => synchronous(path, fn()),
    );
  } finally {
    closeSync(target);
  }
}

function synchronous<T>(path: string, result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {});
  throw new KernelError(`run in network namespace ${path}`, { code: "namespace-async", hint: "must be synchronous" });
}

/** Calls `fn` in the namespace at `path`, or in the present one if there is none. */
export function maybeInNamespace<T>(path: string | undefined, fn: () => T): T {
  return path === undefined ? fn() : inNamespace(path, fn);
}

function unshare(what: string): void {
  if ((libc.unshare(CLONE_NEWNET) as number) !== 0) throw failed(`create ${what}`, "namespace-create-failed");
}

/** Calls `fn` in a new network namespace that ends with the last socket opened in it. `fn` must be synchronous. */
export function inFreshNamespace<T>(fn: () => T): T {
  return elsewhere(
    () => unshare("a network namespace"),
    () => synchronous("made for this", fn()),
  );
}

function written(action: string, fn: () => void): void {
  try {
    fn();
  } catch (cause) {
    throw new KernelError(action, { code: "namespace-create-failed", errno: systemErrno(cause), cause });
  }
}

/**
 * Makes the directory a shared mount like `ip netns`, so that namespaces show in all mount namespaces derived from this
 * one.
 */
function shareDirectory(): void {
  written(`make ${DIRECTORY}`, () => mkdirSync(DIRECTORY, { recursive: true }));
  if (libc.mount("", DIRECTORY, "none", MS_SHARED | MS_REC, null) === 0) return;
  if (libc.mount(DIRECTORY, DIRECTORY, "none", MS_BIND | MS_REC, null) !== 0) {
    throw failed(`bind ${DIRECTORY}`, "namespace-create-failed");
  }
  if (libc.mount("", DIRECTORY, "none", MS_SHARED | MS_REC, null) !== 0) {
    throw failed(`share ${DIRECTORY}`, "namespace-create-failed");
  }
}

/** Whether a network namespace is bound at `path`. */
export function isNamespace(path: string): boolean {
  try {
    return statSync(path).dev === statSync(SELF).dev;
  } catch {
    return false;
  }
}

/** Whether `path` is this thread's namespace. */
export function isOwnNamespace(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  const own = statSync(SELF);
  return found !== undefined && found.dev === own.dev && found.ino === own.ino;
}

/** Why `path` cannot be a pod's network namespace, as words to follow it; undefined: it can, or does not exist yet. */
export function namespaceFault(path: string): string | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    if (!isNamespace(path)) return "is no network namespace";
    return isOwnNamespace(path) ? "is the node's own namespace" : undefined;
  } catch (error) {
    return `cannot be looked at: ${systemErrno(error) ?? String(error)}`;
  }
}

/**
 * Creates a network namespace named as by `ip netns`. Returns its path. Its loopback is down.
 * @throws KernelError `namespace-exists`, `namespace-create-failed`
 */
export function createNamespace(name: string): string {
  const path = namespacePath(name);
  if (!/^[A-Za-z0-9._-]{1,200}$/.test(name) || name === "." || name === "..") {
    throw new KernelError(`create network namespace ${name}`, {
      code: "namespace-name",
      hint: "letters, digits, . _ -",
    });
  }
  shareDirectory();
  if (isNamespace(path)) {
    throw new KernelError(`create network namespace ${name}`, {
      code: "namespace-exists",
      errno: "EEXIST",
    });
  }
  written(`create network namespace ${name}`, () => writeFileSync(path, "", { mode: 0o444 }));
  try {
    elsewhere(
      () => unshare(`network namespace ${name}`),
      () => {
        if (libc.mount(SELF, path, "none", MS_BIND, null) === 0) return;
        throw failed(`bind network namespace ${path}`, "namespace-create-failed");
      },
    );
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  return path;
}

/** Unbinds a namespace created by `createNamespace`. It ends with its last process. Idempotent. */
export function removeNamespace(name: string): void {
  const path = namespacePath(name);
  while (isNamespace(path) && libc.umount2(path, MNT_DETACH) === 0);
  rmSync(path, { force: true });
}
