import { readFileSync, readlinkSync, statSync } from "node:fs";

/** One line of a process's mountinfo. */
export interface Mount {
  /** Of this mount alone: copies in other mount namespaces have others. */
  id: string;
  /** `major:minor` of the file system: the same wherever it is mounted. */
  device: string;
  /** What of the file system is mounted; of a namespace's file its name, e.g. `mnt:[4026532000]`. */
  root: string;
  path: string;
  type: string;
}

/** Reads the text of /proc/PID/mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [id = "", , device, root, path] = before.split(" ");
    const [type] = after.split(" ");
    return device && root && path && type ? [{ id, device, root, path: unescaped(path), type }] : [];
  });
}

/** Blanks and the like are octal there. */
const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** `major:minor` of the file system that a path is on, as mountinfo has it. */
export function deviceOf(path: string): string {
  const { dev } = statSync(path, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** What tells of this process's mounts and of those of the machine's first process. */
export interface MountView {
  /** Mounts of process 1; undefined if they cannot be read. */
  first: readonly Mount[] | undefined;
  /** This process's mount namespace, e.g. `mnt:[4026532000]`. */
  namespace: string;
  /** Id of its root's mount. */
  root: string;
  /** Mounts of the process that started it; undefined if they cannot be read. */
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
    return undefined; // hidden from us
  }
}

/**
 * Does this process's mount namespace stay when it ends? It does if it is that of process 1 or of the process that started
 * this one (`ip netns exec` makes one for its command alone), or if process 1 holds it by a file. What cannot be told is
 * taken for good.
 */
export function namespaceStays({ first, namespace, root, parent }: MountView): boolean {
  if (parent?.some(({ id }) => id === root)) return true;
  return first?.some((mount) => mount.id === root || (mount.type === "nsfs" && mount.root === namespace)) ?? true;
}

/** Does a file system stay? It goes with the last mount namespace that has it. `device`: as `deviceOf` gives it. */
export function outlivesUs(device: string, view: MountView): boolean {
  const has = (mounts: readonly Mount[] | undefined) => mounts?.some((mount) => mount.device === device);
  return namespaceStays(view) || has(view.parent) || (has(view.first) ?? true);
}
