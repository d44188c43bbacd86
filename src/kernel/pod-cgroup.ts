import { statSync } from "node:fs";
import { join } from "node:path";
import { cgroupRoot } from "./cgroup.ts";
import { KernelError } from "./errors.ts";

export type PodQos = "Guaranteed" | "Burstable" | "BestEffort";
export type CgroupDriver = "systemd" | "cgroupfs";

/** The location of a pod's cgroup. */
export interface PodCgroup {
  path: string;
  qos: PodQos;
  driver: CgroupDriver;
}

/** Guaranteed pods sit directly under the pods' root. */
const CLASSES: Readonly<Record<PodQos, string | undefined>> = {
  Guaranteed: undefined,
  Burstable: "burstable",
  BestEffort: "besteffort",
};
/** Root of the pods' cgroups: kubelet's default, and with `--cgroup-root=kubelet` (nested nodes). */
const ROOTS: readonly (readonly string[])[] = [["kubepods"], ["kubelet", "kubepods"]];

/** A slice's directory repeats its parents' names: `a.slice/a-b.slice`. */
function slices(names: readonly string[]): string {
  return names.map((_, i) => `${names.slice(0, i + 1).join("-")}.slice`).join("/");
}

/**
 * Paths below the cgroup root where a pod's cgroup may be, for every QoS class and both cgroup drivers.
 * @param uid of the Pod object @throws KernelError `pod-uid`: it is no valid uid, and could lead to another path
 */
export function podCgroupCandidates(uid: string): PodCgroup[] {
  if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(uid)) {
    throw new KernelError(`find cgroup of pod ${JSON.stringify(uid)}`, { code: "pod-uid", hint: "no valid uid" });
  }
  return ROOTS.flatMap((root) =>
    (Object.keys(CLASSES) as PodQos[]).flatMap((qos): PodCgroup[] => {
      const parents = [...root, CLASSES[qos]].filter((name) => name !== undefined);
      // the systemd driver replaces dashes, which separate levels, by underscores
      const slice = slices([...parents, `pod${uid.replaceAll("-", "_")}`]);
      return [
        { path: slice, qos, driver: "systemd" },
        { path: [...parents, `pod${uid}`].join("/"), qos, driver: "cgroupfs" },
      ];
    }),
  );
}

/** The cgroup of a pod; `undefined`: no runtime has created it yet. */
export function findPodCgroup(uid: string, root = cgroupRoot()): PodCgroup | undefined {
  for (const candidate of podCgroupCandidates(uid)) {
    const path = join(root, candidate.path);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return { ...candidate, path };
  }
  return undefined;
}
