import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { cgroupRoot } from "./cgroups.ts";
import { codeOf, LabError } from "./errors.ts";
import { LABS_ROOT, type LabNames, labNames } from "./names.ts";
import type { LabRecord } from "./record.ts";
import { labNetns } from "./teardown.ts";

export type LabSettings = Pick<LabRecord, "nodes" | "overlay" | "sources" | "images" | "programs" | "kubernetes">;

/**
 * Reserves a lab's name: from here on all kernel objects with its names belong to it. Creates nothing else.
 * @throws LabError `exists` if the lab exists, `name-taken` if something else uses its names
 */
export function claimLab(name: string, settings: LabSettings, root: string = LABS_ROOT): LabNames {
  const names = labNames(name, root);
  const cgroup = `${cgroupRoot()}/${names.cgroup}`;
  if (existsSync(names.dir)) throw exists(name);
  const [netns] = labNetns(names);
  if (netns !== undefined) throw taken(name, `network namespace ${netns}`);
  if (existsSync(cgroup)) throw taken(name, `cgroup ${cgroup}`);
  const record: LabRecord = {
    version: 1,
    name,
    createdAt: new Date().toISOString(),
    ...settings,
    cgroup,
  };
  // The directory is made under another name and renamed, so that a lab's directory always has its record.
  const beside = `${root}/.${name}.${process.pid}`;
  mkdirSync(beside, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(`${beside}/lab.json`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
    renameSync(beside, names.dir);
  } catch (cause) {
    rmSync(beside, { recursive: true, force: true });
    if (codeOf(cause) === "ENOTEMPTY" || codeOf(cause) === "EEXIST") throw exists(name);
    throw cause;
  }
  return names;
}

function exists(name: string): LabError {
  return new LabError(
    "exists",
    `start lab ${name}: it is there already (weir lab apply changes it, weir lab down removes it)`,
  );
}

function taken(name: string, what: string): LabError {
  return new LabError("name-taken", `start lab ${name}: ${what} exists and is not this lab's (choose another --name)`);
}
