import { closeSync, existsSync, mkdtempSync, openSync, rmdirSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { errnoName, systemErrno } from "./errors.ts";
import { libc } from "./ffi.ts";
import { possibleCpus } from "./map.ts";
import { inFreshNamespace } from "./namespace.ts";

const MNT_DETACH = 2;

/** A mask of this many processors in the kernel's format: hexadecimal, groups of 32 bits, e.g. `f,ffffffff`. */
export function cpuMask(count: number): string {
  const digits = ((1n << BigInt(count)) - 1n).toString(16);
  return digits.replace(/\B(?=(.{8})+$)/g, ",");
}

/**
 * Steers each flow that a device receives to one processor (receive packet steering by `skb->hash`). Needed for a
 * device whose peer has a queue: two processors may dequeue consecutive packets of a flow, and the second packet may be
 * faster. The device is in this thread's network namespace.
 * @returns the reason if flows are not steered; undefined if they are, or if there is one processor
 */
export function steerFlows(device: string, count: number = possibleCpus()): string | undefined {
  return count < 2 ? undefined : withSysfs((root) => writeMask(root, device, cpuMask(count)));
}

/**
 * Whether the kernel can steer flows and this process may configure it. Tried on the loopback device of a new
 * namespace; of this thread's namespace, whose sysfs may be read-only, nothing is changed.
 * @returns the reason if not
 */
export function steeringRefusal(): string | undefined {
  const tried = inFreshNamespace(() => withSysfs((root) => writeMask(root, "lo", cpuMask(possibleCpus()))));
  return tried ?? withSysfs((root) => writeMask(root, "lo"));
}

/** Mounts sysfs temporarily: it shows the devices of the namespace in which it was mounted. */
function withSysfs(use: (root: string) => string | undefined): string | undefined {
  let path: string;
  try {
    path = mkdtempSync(join(tmpdir(), "weir-sys-"));
  } catch (error) {
    return unsteered("place", systemErrno(error));
  }
  try {
    if ((libc.mount("sysfs", path, "sysfs", 0, null) as number) !== 0)
      return unsteered("mount", errnoName(koffi.errno()));
    try {
      return use(path);
    } finally {
      libc.umount2(path, MNT_DETACH);
    }
  } finally {
    rmdirSync(path);
  }
}

/** Writes the mask; without one only opens the file for writing. @param root mount point of sysfs */
export function writeMask(root: string, device: string, mask?: string): string | undefined {
  const folder = join(root, "class/net", device);
  try {
    // without O_CREAT: sysfs refuses that with EACCES, and a missing file would look like missing permission
    const fd = openSync(join(folder, "queues/rx-0/rps_cpus"), "r+");
    try {
      if (mask !== undefined) writeSync(fd, mask);
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    const errno = systemErrno(error);
    return errno === "ENOENT" && !existsSync(folder) ? `there is no device ${device}` : unsteered("write", errno);
  }
}

const WHAT = {
  place: "no folder to mount sysfs on can be created",
  mount: "sysfs cannot be mounted",
  write: "sysfs refuses it",
} as const;

const NONE = "the kernel has no packet steering: use one with";
const ABSENT: Readonly<Record<string, string>> = {
  "mount ENODEV": `${NONE} CONFIG_SYSFS and CONFIG_RPS`,
  "write ENOENT": `${NONE} CONFIG_RPS`,
};

const HINTS: Readonly<Record<string, string>> = {
  "mount EPERM": "needs CAP_SYS_ADMIN",
  "mount EACCES": "a security module denies it",
  "write EPERM": "needs CAP_NET_ADMIN in the first user namespace",
  "write EACCES": "needs root, or a security module denies it",
  "write EROFS": "it is read-only: remount /sys with rw where the agent runs",
};

/**
 * The reason why flows are not steered: the kernel does not support it, or refuses this process. @param step what
 * failed
 */
export function unsteered(step: keyof typeof WHAT, errno = "EIO"): string {
  const absent = ABSENT[`${step} ${errno}`];
  if (absent) return absent;
  const hint = HINTS[`${step} ${errno}`];
  return `${WHAT[step]}: ${errno}${hint ? `, ${hint}` : ""}`;
}
