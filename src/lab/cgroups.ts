import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, LabError, messageOf } from "./errors.ts";
import { type Mount, mounts } from "./mounts.ts";

/** The mount point of the cgroup v2 tree, in hybrid and unified layouts. */
export function cgroupRoot(table: readonly Mount[] = mounts()): string {
  const found = table.find((mount) => mount.type === "cgroup2");
  if (found === undefined) {
    throw new LabError("no-cgroup2", "find the cgroup v2 tree: not mounted (mount -t cgroup2 none /sys/fs/cgroup)");
  }
  return found.path;
}

export function createCgroup(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new LabError("cgroup", `create cgroup ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Moves a process with all its threads; 0 is the caller. A process that has ended is not an error. */
export function joinCgroup(path: string, pid = 0): void {
  try {
    writeFileSync(`${path}/cgroup.procs`, String(pid));
  } catch (cause) {
    if (codeOf(cause) === "ESRCH") return;
    throw new LabError("cgroup", `move process ${pid} to cgroup ${path}: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Runs `body` with this process in cgroup `path`, so that its child processes start there and all their sockets belong
 * to that cgroup. Synchronous: no other code may spawn a process in between.
 */
export function insideCgroup<T>(path: string, home: string, body: () => T): T {
  joinCgroup(path);
  try {
    return body();
  } finally {
    joinCgroup(home);
  }
}

/** PIDs in the cgroup itself, not in its children; empty if it is gone. */
export function cgroupPids(path: string): number[] {
  try {
    return readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function children(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${path}/${entry.name}`);
  } catch {
    return [];
  }
}

/** Kills every process in the tree: with cgroup.kill where the kernel has it (5.14), otherwise one by one. */
export function killCgroup(path: string): void {
  if (existsSync(`${path}/cgroup.kill`)) {
    try {
      writeFileSync(`${path}/cgroup.kill`, "1");
      return;
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENODEV") return;
      throw error;
    }
  }
  for (const child of children(path)) killCgroup(child);
  for (const pid of cgroupPids(path)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {}
  }
}

/**
 * Kills the processes of the tree and removes it, retrying for `patience` ms until they are reaped. A missing cgroup is
 * not an error.
 */
export async function removeCgroup(path: string, patience = 5000): Promise<void> {
  const deadline = Date.now() + patience;
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    killCgroup(path);
    const left = rmdirTree(path);
    if (left === undefined) return;
    if (Date.now() > deadline) {
      throw new LabError(
        "cgroup",
        `remove cgroup ${path}: ${messageOf(left)} (processes ${cgroupPids(path).join(", ")})`,
        {
          cause: left,
        },
      );
    }
    await sleep(pause);
  }
}

function rmdirTree(path: string): unknown {
  for (const child of children(path)) {
    const left = rmdirTree(child);
    if (left !== undefined) return left;
  }
  try {
    rmdirSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") return error;
  }
  return undefined;
}
