import { readFileSync, readlinkSync, statSync } from "node:fs";

/** One line of mountinfo. */
export interface Mount {
  /** Unique per mount: copies in other mount namespaces have other ids. */
  id: string;
  /** `major:minor` of the file system, the same wherever it is mounted. */
  device: string;
  /** The mounted part of the file system; for a namespace file its name, e.g. `mnt:[4026532000]`. */
  root: string;
  path: string;
  type: string;
}

/** Parses the text of /proc/PID/mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [id = "", , device, root, path] = before.split(" ");
    const [type] = after.split(" ");
    return device && root && path && type ? [{ id, device, root, path: unescaped(path), type }] : [];
  });
}

/** Decodes octal escapes of blanks and the like. */
const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** `major:minor` of a path's file system, as in mountinfo. */
export function deviceOf(path: string): string {
  const { dev } = statSync(path, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** The mounts of this process, its parent, and process 1. */
export interface MountView {
  /** Mounts of process 1; undefined if they are not readable. */
  first: readonly Mount[] | undefined;
  /** This process's mount namespace, e.g. `mnt:[4026532000]`. */
  namespace: string;
  /** Id of this process's root mount. */
  root: string;
  /** Mounts of the parent process; undefined if they are not readable. */
  parent: readonly Mount[] | undefined;
}

export function mountView(): MountView {
  const root = mountsOf("self")?.find(({ path }) => path === "/")?.id ?? "";
  const namespace = readlinkSync("/proc/self/ns/mnt");
  return { first: mountsOf("1"), namespace, root, parent: mountsOf(String(process.ppid)) };
}

function mountsOf(process: string): Mount[] | undefined {
  try {
    return parseMounts(readFileSync(`/proc/${process}/mountinfo`, "utf8"));
  } catch {
    return undefined; // not readable
  }
}

/**
 * Whether this process's mount namespace outlives it: it is that of process 1 or of the parent process (`ip netns exec`
 * creates one for its command alone), or process 1 holds it by a bind mount. If this cannot be determined, true.
 */
export function namespaceStays({ first, namespace, root, parent }: MountView): boolean {
  if (parent?.some(({ id }) => id === root)) return true;
  return first?.some((mount) => mount.id === root || (mount.type === "nsfs" && mount.root === namespace)) ?? true;
}

/**
 * Whether a file system outlives this process: it is unmounted with the last mount namespace that has it. @param device
 * from `deviceOf`
 */
export function outlivesUs(device: string, view: MountView): boolean {
  const has = (mounts: readonly Mount[] | undefined) => mounts?.some((mount) => mount.device === device);
  return namespaceStays(view) || has(view.parent) || (has(view.first) ?? true);
}
