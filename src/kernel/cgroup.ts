import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { KernelError, systemErrno } from "./errors.ts";

/** Decodes a path in mountinfo, where space, tab, newline and backslash are octal. */
const unescapePath = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Mount points of cgroup v2 in the text of a mountinfo file. Those of the hierarchy's root come first. */
export function cgroupMounts(mountinfo: string): string[] {
  const found: { root: string; path: string }[] = [];
  for (const line of mountinfo.split("\n")) {
    const [mount = "", filesystem = ""] = line.split(" - ");
    if (!filesystem.startsWith("cgroup2 ")) continue;
    const [, , , root = "", path = ""] = mount.split(" ");
    found.push({ root: unescapePath(root), path: unescapePath(path) });
  }
  return found.sort((a, b) => Number(b.root === "/") - Number(a.root === "/")).map(({ path }) => path);
}

/**
 * The mount point of cgroup v2: alone, or beside v1 controllers (hybrid).
 * @param proc mount point of procfs @throws KernelError `cgroup2-missing`
 */
export function cgroupRoot(proc = "/proc"): string {
  const [path] = cgroupMounts(readFileSync(join(proc, "self/mountinfo"), "utf8"));
  if (path !== undefined) return path;
  throw new KernelError("find cgroup v2", { code: "cgroup2-missing", hint: "mount -t cgroup2 none DIR" });
}

function attempt<T>(action: string, fn: () => T, tolerate: readonly string[] = []): T | undefined {
  try {
    return fn();
  } catch (cause) {
    const errno = systemErrno(cause);
    if (errno !== undefined && tolerate.includes(errno)) return undefined;
    const busy = errno === "EBUSY" || errno === "ENOTEMPTY";
    const code = busy ? "cgroup-busy" : "cgroup-failed";
    throw new KernelError(action, { code, errno, hint: busy ? "it still has processes" : undefined, cause });
  }
}

/** Creates a cgroup below the root, with its parents. Returns its path. Idempotent. @param name `a/b`, never `..` */
export function createCgroup(name: string, root = cgroupRoot()): string {
  const path = resolve(root, name);
  const inside = relative(root, path);
  if (inside === "" || inside.startsWith("..") || name.includes("\0")) {
    throw new KernelError(`create cgroup ${JSON.stringify(name)}`, {
      code: "cgroup-name",
      hint: "it must lie below the root",
    });
  }
  attempt(`create cgroup ${path}`, () => mkdirSync(path, { recursive: true }));
  return path;
}

/** Removes a cgroup and those below it. Idempotent. @throws KernelError `cgroup-busy` if it contains processes */
export function removeCgroup(path: string): void {
  const children = attempt(`list cgroup ${path}`, () => readdirSync(path, { withFileTypes: true }), ["ENOENT"]);
  for (const child of children ?? []) if (child.isDirectory()) removeCgroup(join(path, child.name));
  attempt(`remove cgroup ${path}`, () => rmdirSync(path), ["ENOENT"]);
}

/** Moves a process with its threads. @throws KernelError `cgroup-failed` (ESRCH: no such process) */
export function moveToCgroup(path: string, pid: number): void {
  attempt(`move process ${pid} to cgroup ${path}`, () => writeFileSync(join(path, "cgroup.procs"), String(pid)));
}

/** Processes in a cgroup, without those below it. Empty if the cgroup does not exist. */
export function cgroupProcesses(path: string): number[] {
  const file = join(path, "cgroup.procs");
  const text = attempt(`read ${file}`, () => readFileSync(file, "utf8"), ["ENOENT", "ENODEV"]) ?? "";
  return text.split("\n").filter(Boolean).map(Number);
}

/** Kills all processes in a cgroup and below it. Linux 5.14. Idempotent. */
export function killCgroup(path: string): void {
  attempt(`kill cgroup ${path}`, () => writeFileSync(join(path, "cgroup.kill"), "1"), ["ENOENT", "ENODEV"]);
}

/** The id by which BPF programs identify a cgroup. */
export function cgroupId(path: string): bigint {
  return attempt(`read cgroup ${path}`, () => statSync(path, { bigint: true }).ino) as bigint;
}
