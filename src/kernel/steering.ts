import { mkdtempSync, rmdirSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { errnoName, KernelError } from "./errors.ts";
import { libc } from "./ffi.ts";

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
 * @returns false where the kernel has no packet steering @throws KernelError `steering-failed`
 */
export function steerFlows(device: string, count: number = cpus().length): boolean {
  if (count < 2) return true;
  // sysfs shows the devices of the namespace that it was mounted in, so one is mounted for the moment
  const path = mkdtempSync(join(tmpdir(), "weir-sys-"));
  try {
    if ((libc.mount("sysfs", path, "sysfs", 0, null) as number) !== 0) throw failure(device, errnoName(koffi.errno()));
    try {
      writeFileSync(join(path, "class/net", device, "queues/rx-0/rps_cpus"), cpuMask(count));
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "EACCES") return false;
      throw failure(device, code ?? "EIO");
    } finally {
      libc.umount2(path, MNT_DETACH);
    }
  } finally {
    rmdirSync(path);
  }
}

const failure = (device: string, errno: string): KernelError =>
  new KernelError(`steer flows of device ${device}`, {
    code: "steering-failed",
    errno,
    hint: "needs CAP_SYS_ADMIN; without it packets of a flow may overtake each other",
  });
