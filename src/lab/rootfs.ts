import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { ContainerMount } from "./container.ts";
import { LabError } from "./errors.ts";

/** Files bound over the container's: path in the container → file on the machine, e.g. `/etc/hosts` → the pod's own. */
export type ContainerFiles = Readonly<Record<string, string>>;

export interface RootLayout {
  rootfs: string | undefined;
  mounts: ContainerMount[];
}

/** Of the pod's network: /sys/class/net shows its devices. The name differs from the machine's, else `mount -a` takes it for done. */
const SYSFS: Omit<ContainerMount, "target"> = { source: "pod-sysfs", type: "sysfs", options: "nosuid,nodev,noexec" };

/**
 * The machine's own root: the files are bound over the machine's, in the container's mount namespace only. Every path
 * must exist on the machine.
 */
export function machineRoot(files: ContainerFiles): RootLayout {
  return { rootfs: undefined, mounts: [{ ...SYSFS, target: "/sys" }, ...Object.entries(files).map(bind)] };
}

function bind([target, source]: [string, string]): ContainerMount {
  return { source, target, type: "none", options: "bind" };
}

/** An image's root: an overlay of its own for each container, with mount points for the files in the upper layer. */
export function imageRoot(dir: string, lower: string, files: ContainerFiles): RootLayout {
  if (/[\\:,]/.test(lower)) {
    throw new LabError("bad-image", `mount image ${lower}: a path with "\\", ":" or "," cannot be an overlay's layer`);
  }
  const [upper, work, rootfs] = [`${dir}/upper`, `${dir}/work`, `${dir}/rootfs`];
  for (const path of [upper, work]) rmSync(path, { recursive: true, force: true }); // a restarted container begins anew
  for (const path of [upper, work, rootfs, `${upper}/proc`, `${upper}/sys`, `${upper}/dev`]) {
    mkdirSync(path, { recursive: true });
  }
  for (const path of Object.keys(files)) {
    mkdirSync(`${upper}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    writeFileSync(`${upper}${path}`, "");
  }
  const overlay = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  return {
    rootfs,
    mounts: [
      { source: "overlay", target: rootfs, type: "overlay", options: overlay },
      { ...SYSFS, target: `${rootfs}/sys` },
      { source: "/dev", target: `${rootfs}/dev`, type: "none", options: "rbind" },
      ...Object.entries(files).map(([path, source]) => bind([`${rootfs}${path}`, source])),
    ],
  };
}
