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

/**
 * /sys/class/net must show the pod's devices. The source's name differs from the machine's sysfs, or `mount -a` would
 * skip it.
 */
const SYSFS: Omit<ContainerMount, "target"> = { source: "pod-sysfs", type: "sysfs", options: "nosuid,nodev,noexec" };

/**
 * Uses the machine's own root; each binding is mounted over it in the container's mount namespace only. Nothing is
 * created on the machine for a target that it lacks: an overlay covers the parent directory, or, for a target at the
 * top level, the container gets a root directory of its own with all of the machine's bound into it.
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
 * Creates a missing working directory, as container runtimes do: in the volume that contains it, or as an empty
 * directory of the container (the result) over the machine's files. For images see `imageRoot`.
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

/** All top-level entries of the machine's root bound below `root`, and a mount point for each target. */
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
  chmodSync(upper, statSync(path).mode); // The merged directory has the mode of the upper one.
  for (const one of lacking.filter(({ target }) => ancestor(target) === path)) {
    place(upper, { ...one, target: one.target.slice(path.length) });
  }
  return { source: "overlay", target: `${prefix}${path}`, type: "overlay", options: overlay(path, upper, work) };
}

/**
 * An image's root: an overlay for each container, with mount points for the bindings in the upper layer. `workingDir`
 * is created if the image lacks it.
 */
export function imageRoot(
  dir: string,
  { lower, workingDir = "/" }: { lower: string; workingDir?: string | undefined },
  bindings: readonly Binding[],
): RootLayout {
  const [upper, work, rootfs] = [`${dir}/upper`, `${dir}/work`, `${dir}/rootfs`];
  for (const path of [upper, work]) rmSync(path, { recursive: true, force: true }); // A restarted container starts with an empty layer.
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

/** Creates a mount point below `root`, which is new and therefore contains no symbolic links. */
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
