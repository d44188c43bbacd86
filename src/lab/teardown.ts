import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { removeCgroup } from "./cgroups.ts";
import { LabError, messageOf } from "./errors.ts";
import type { Connect } from "./kube/api.ts";
import { openApi } from "./kube/open.ts";
import { mounts, within } from "./mounts.ts";
import { LABS_ROOT, type LabNames } from "./names.ts";
import { giveBackNetnsDir, NETNS_DIR } from "./netns-dir.ts";
import { type LabRecord, labNodes, readRecord } from "./record.ts";
import { ipBatch, run } from "./run.ts";

/** Network namespaces of a lab: those with its prefix. */
export function labNetns(names: LabNames, dir = NETNS_DIR): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir).filter((name) => name.startsWith(names.netnsPrefix));
}

/**
 * Removes everything of a lab in any state: running, partly created, or left by a crash. First its processes (the
 * supervisor too), then network namespaces with their devices, mounts with their pins, cgroups, files. Each step is
 * idempotent.
 * @throws LabError `no-lab` if there is no such lab; `api` if its nodes could not be removed from a Kubernetes API
 * (nothing is left on this machine then)
 */
export async function teardown(names: LabNames, connect: Connect | undefined, root: string = LABS_ROOT): Promise<void> {
  const record = readRecord(names);
  await removeCgroup(record.cgroup);
  const left = await leaveApi(names, record, connect);
  await ipBatch(
    labNetns(names).map((netns) => `netns del ${netns}`),
    { force: true },
  );
  await unmountAll(names.dir);
  removeDir(names);
  await giveBackNetnsDir(root);
  for (const dir of [root, dirname(root)]) removeIfEmpty(dir);
  if (left !== undefined) throw left;
}

/** Time limit for removing the lab from the API, ms. */
const API_PATIENCE = 20_000;

/** Removes the lab's pods and nodes from their Kubernetes API, once none of their processes runs. */
async function leaveApi(
  names: LabNames,
  record: LabRecord,
  connect: Connect | undefined,
): Promise<LabError | undefined> {
  if (record.kubernetes === undefined) return undefined;
  const nodes = labNodes(names, record);
  const late = new AbortController();
  try {
    const { removeNodes } = await import("./kube/nodes.ts");
    const removed = openApi(connect, record.kubernetes).then((api) => removeNodes(api, names.name, nodes));
    const patience = sleep(API_PATIENCE, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no answer after ${API_PATIENCE / 1000} s`);
    });
    patience.catch(() => {});
    await Promise.race([removed, patience]);
    return undefined;
  } catch (cause) {
    const list = nodes.map((node) => node.name).join(" ");
    const hint = `the lab is gone from this machine; kubectl delete node ${list} removes the rest`;
    return new LabError("api", `remove the lab's nodes from its cluster: ${messageOf(cause)} (${hint})`, { cause });
  } finally {
    late.abort();
  }
}

/** Unmounts everything at or below `dir`, in reverse order of mounting. */
async function unmountAll(dir: string): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const paths = mounts()
      .map((mount) => mount.path)
      .filter((path) => within(path, dir));
    if (paths.length === 0) return;
    await run("umount", ["-n", "-l", ...[...new Set(paths.reverse())]]).catch(() => sleep(20));
  }
  throw new LabError("mounts", `unmount ${dir}: still mounted`);
}

/** Removes the lab's files without crossing a mount: mounted files may be the machine's. */
function removeDir(names: LabNames): void {
  const mounted = mounts().find((mount) => within(mount.path, names.dir));
  if (mounted !== undefined) throw new LabError("mounts", `remove ${names.dir}: ${mounted.path} is still mounted`);
  rmSync(names.dir, { recursive: true, force: true });
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {} // Other processes are in it, or it is gone.
}
