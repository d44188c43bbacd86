import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { ContainerMount } from "./container.ts";
import { LabError } from "./errors.ts";
import { inside } from "./inside.ts";
import { type Binding, holderOf } from "./volumes.ts";

export interface RootLayout {
  /** Root directory; undefined: the machine's own. */
  rootfs: string | undefined;
  mounts: ContainerMount[];
}

/** Of the pod's network: /sys/class/net shows its devices. The name differs from the machine's, else `mount -a` takes it for done. */
const SYSFS: Omit<ContainerMount, "target"> = { source: "pod-sysfs", type: "sysfs", options: "nosuid,nodev,noexec" };

/**
 * The machine's own root, with each binding put over the machine's in the container's mount namespace only. For a target
 * that the machine lacks, nothing is made on the machine: an overlay covers the directory that it would be in, or, at
 * the top, the root becomes a directory of the container's own that holds all of the machine's.
 */
export function machineRoot(dir: string, bindings: readonly Binding[]): RootLayout {
  const lacking = bindings.filter(({ target }) => !existsSync(target));
  const atTop = lacking.filter(({ target }) => ancestor(target) === "/");
  const mirrored = atTop.length === 0 ? undefined : mirror(`${dir}/root`, atTop);
  const rootfs = mirrored === undefined ? undefined : `${dir}/root`;
  const prefix = rootfs ?? "";
  const covered = new Set(lacking.map(({ target }) => ancestor(target)).filter((path) => path !== "/"));
  const covers = [...covered].map((path, index) => cover(`${dir}/cover-${index}`, path, prefix, lacking));
  return {
    rootfs,
    mounts: [
      ...(mirrored ?? []),
      { ...SYSFS, target: `${prefix}/sys` },
      ...covers,
      ...bindings.map((one) => bind(one, prefix)),
    ],
  };
}

/**
 * Makes a working directory that is not there, as runtimes do: in the volume that it would be in, or, on the machine's
 * own files, as an empty directory of the container's (the result). An image's root is another's (`imageRoot`).
 */
export function makeWorkingDir(
  path: string,
  { dir, image, bindings }: { dir: string; image: boolean; bindings: readonly Binding[] },
): Binding[] {
  const holder = holderOf(path, bindings);
  if (holder !== undefined) {
    inside(holder.source, path.slice(holder.target.length), { make: "directory", absolute: "out" });
    return [];
  }
  if (image || existsSync(path)) return [];
  const source = `${dir}/workdir`;
  rmSync(source, { recursive: true, force: true });
  mkdirSync(source, { recursive: true, mode: 0o755 });
  return [{ source, target: path, directory: true, readOnly: false }];
}

/** The nearest directory above `path` that the machine has. */
function ancestor(path: string): string {
  const above = dirname(path);
  return statSync(above, { throwIfNoEntry: false })?.isDirectory() === true ? above : ancestor(above);
}

/** Everything at the top of the machine's root, again below `root`, and a place for each target. */
function mirror(root: string, lacking: readonly Binding[]): ContainerMount[] {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const mounts: ContainerMount[] = [];
  for (const name of readdirSync("/")) {
    const [source, target] = [`/${name}`, `${root}/${name}`];
    const found = lstatSync(source);
    if (found.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (found.isDirectory()) mkdirSync(target);
    else if (found.isFile()) writeFileSync(target, "");
    else continue;
    const mounted = !found.isSymbolicLink() && name !== "proc" && name !== "sys";
    if (mounted) mounts.push({ source, target, type: "none", options: "rbind" });
  }
  for (const one of lacking) place(root, one);
  return mounts;
}

function cover(dir: string, path: string, prefix: string, lacking: readonly Binding[]): ContainerMount {
  const [upper, work] = [`${dir}/upper`, `${dir}/work`];
  for (const made of [upper, work]) {
    rmSync(made, { recursive: true, force: true });
    mkdirSync(made, { recursive: true });
  }
  chmodSync(upper, statSync(path).mode); // the merged directory shows the upper one's
  for (const one of lacking.filter(({ target }) => ancestor(target) === path)) {
    place(upper, { ...one, target: one.target.slice(path.length) });
  }
  return { source: "overlay", target: `${prefix}${path}`, type: "overlay", options: overlay(path, upper, work) };
}

/**
 * An image's root: an overlay of its own for each container, with places for the bindings in the upper layer.
 * `workingDir` is made if the image has none.
 */
export function imageRoot(
  dir: string,
  { lower, workingDir = "/" }: { lower: string; workingDir?: string | undefined },
  bindings: readonly Binding[],
): RootLayout {
  const [upper, work, rootfs] = [`${dir}/upper`, `${dir}/work`, `${dir}/rootfs`];
  for (const path of [upper, work]) rmSync(path, { recursive: true, force: true }); // a restarted container begins anew
  for (const path of [upper, work, rootfs, `${upper}/proc`, `${upper}/sys`, `${upper}/dev`]) {
    mkdirSync(path, { recursive: true });
  }
  for (const one of bindings) place(upper, one);
  const { path, id } = inside(lower, workingDir, { absolute: "root" });
  if (id === undefined) place(upper, { target: path, directory: true });
  return {
    rootfs,
    mounts: [
      { source: "overlay", target: rootfs, type: "overlay", options: overlay(lower, upper, work) },
      { ...SYSFS, target: `${rootfs}/sys` },
      { source: "/dev", target: `${rootfs}/dev`, type: "none", options: "rbind" },
      ...bindings.map((one) => bind(one, rootfs)),
    ],
  };
}

/** Makes what a binding is mounted over, below `root`, which is fresh: there are no links in it to be led astray by. */
function place(root: string, { target, directory }: Pick<Binding, "target" | "directory">): void {
  if (directory) return void mkdirSync(`${root}${target}`, { recursive: true });
  mkdirSync(dirname(`${root}${target}`), { recursive: true });
  writeFileSync(`${root}${target}`, "");
}

function bind({ source, target, readOnly, id }: Binding, prefix: string): ContainerMount {
  return { source, target: `${prefix}${target}`, type: "none", options: readOnly ? "bind,ro" : "bind", id };
}

function overlay(lower: string, upper: string, work: string): string {
  if (/[\\:,]/.test(lower)) {
    throw new LabError("bad-image", `mount ${lower}: a path with "\\", ":" or "," cannot be an overlay's layer`);
  }
  return `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
}
