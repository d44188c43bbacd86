import { mkdirSync, readlinkSync, statfsSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import koffi from "koffi";
import { check, errnoName, KernelError, systemErrno } from "./errors.ts";
import { bpf, libc } from "./ffi.ts";

const BPF_FS_MAGIC = 0xcafe4a11;
const FS_HINT = "pins live on a bpffs: mount -t bpf bpf DIR";

/** Whether `path` is on a mounted bpffs. */
export function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Pinned objects decide about packets, so only root may access them. The kernel's default mode lets everyone write. */
const MOUNT_OPTIONS = Buffer.from("mode=0700\0");

/** Mounts a bpffs at `path` unless there is one. Idempotent. @throws KernelError `mount-failed` */
export function mountBpffs(path: string): void {
  if (isBpffs(path)) return;
  makeDirectory(path);
  if ((libc.mount("bpf", path, "bpf", 0, MOUNT_OPTIONS) as number) === 0) return;
  throw new KernelError(`mount bpffs at ${path}`, {
    code: "mount-failed",
    errno: errnoName(koffi.errno()),
    hint: "needs CAP_SYS_ADMIN, or a bpffs that is mounted there",
  });
}

const MNT_DETACH = 2;

/** Unmounts the bpffs at `path`. Idempotent. @throws KernelError `mount-failed` */
export function unmountBpffs(path: string): void {
  if (!isBpffs(path) || (libc.umount2(path, MNT_DETACH) as number) === 0) return;
  throw new KernelError(`unmount bpffs at ${path}`, { code: "mount-failed", errno: errnoName(koffi.errno()) });
}

/** Pins a descriptor; creates parent directories. @throws KernelError `pin-failed` */
export function pinObject(fd: number, path: string, what: string): void {
  makeDirectory(dirname(path));
  const result = bpf.bpf_obj_pin(fd, path) as number;
  const exists = result === -constants.errno.EEXIST;
  check(result, `pin ${what} at ${path}`, "pin-failed", exists ? "something is pinned there" : FS_HINT);
}

/** Creates a directory with its parents. @throws KernelError `pin-failed` */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new KernelError(`make directory ${path}`, {
      code: "pin-failed",
      errno: systemErrno(cause),
      cause,
    });
  }
}

/** Kinds of pinned objects. */
export type PinnedKind = "map" | "program" | "link";
/** Names in procfs; some kernels write [bpf_link]. */
const KINDS: readonly (readonly [RegExp, PinnedKind])[] = [
  [/bpf-map/, "map"],
  [/bpf-prog/, "program"],
  [/bpf[-_]link/, "link"],
];

/** Opens a pinned object of any kind. @throws KernelError `not-pinned`, `open-failed` */
export function openAnyPinned(path: string, what = "object"): { fd: number; kind: PinnedKind | undefined } {
  const result = bpf.bpf_obj_get(path) as number;
  const missing = result === -constants.errno.ENOENT;
  const hint = missing ? "nothing is pinned there" : undefined;
  const fd = check(result, `open pinned ${what} ${path}`, missing ? "not-pinned" : "open-failed", hint);
  const inode = readlinkSync(`/proc/self/fd/${fd}`);
  return { fd, kind: KINDS.find(([pattern]) => pattern.test(inode))?.[1] };
}

/** Opens a pinned object of this kind. @throws KernelError `not-pinned`, `wrong-kind`, `open-failed` */
export function openPinned(path: string, wanted: PinnedKind): number {
  const { fd, kind } = openAnyPinned(path, wanted);
  if (kind === wanted) return fd;
  libc.close(fd);
  throw wrongKind(path, wanted, kind);
}

export function wrongKind(path: string, wanted: string, kind: string | undefined): KernelError {
  return new KernelError(`open pinned ${wanted} ${path}`, {
    code: "wrong-kind",
    hint: `what is pinned is a ${kind ?? "object of an unknown kind"}`,
  });
}
