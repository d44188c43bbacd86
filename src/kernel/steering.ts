import { closeSync, existsSync, mkdtempSync, openSync, rmdirSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { errnoName, systemErrno } from "./errors.ts";
import { libc } from "./ffi.ts";
import { possibleCpus } from "./map.ts";
import { inFreshNamespace } from "./namespace.ts";

const MNT_DETACH = 2;

/** All of so many processors, as the kernel reads a mask: hexadecimal, groups of 32 bits, e.g. `f,ffffffff`. */
export function cpuMask(count: number): string {
  const digits = ((1n << BigInt(count)) - 1n).toString(16);
  return digits.replace(/\B(?=(.{8})+$)/g, ",");
}

/**
 * Has each flow's packets received on one processor, whichever of them sent (receive packet steering by `skb->hash`). A
 * device whose other end has a queue needs it: two processors may take packets of one flow from that queue, one after the
 * other, and the second may be done first. The device is one of this thread's network namespace.
 * @returns why its flows are not steered, in words; undefined if they are, or if there is one processor
 */
export function steerFlows(device: string, count: number = possibleCpus()): string | undefined {
  return count < 2 ? undefined : withSysfs((root) => writeMask(root, device, cpuMask(count)));
}

/**
 * Can the kernel steer flows, and may this process have it so? Tried on the loopback device of a namespace of its own; of
 * this thread's namespace, whose sysfs may be read-only, nothing is changed.
 * @returns why not, in words
 */
export function steeringRefusal(): string | undefined {
  const tried = inFreshNamespace(() => withSysfs((root) => writeMask(root, "lo", cpuMask(possibleCpus()))));
  return tried ?? withSysfs((root) => writeMask(root, "lo"));
}

/** sysfs shows the devices of the namespace that it was mounted in, so one is mounted for the moment. */
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

/** `root`: where sysfs is. Without a mask it is opened for writing, and stays as it is. */
export function writeMask(root: string, device: string, mask?: string): string | undefined {
  const folder = join(root, "class/net", device);
  try {
    // never creating: sysfs refuses that with EACCES, and an absent file would look like a missing right
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
  place: "no folder to mount sysfs on can be made",
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

/** Why flows are not steered: the kernel cannot, or does not let this process. `step`: what was refused. */
export function unsteered(step: keyof typeof WHAT, errno = "EIO"): string {
  const absent = ABSENT[`${step} ${errno}`];
  if (absent) return absent;
  const hint = HINTS[`${step} ${errno}`];
  return `${WHAT[step]}: ${errno}${hint ? `, ${hint}` : ""}`;
}
