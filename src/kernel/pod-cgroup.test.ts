import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cgroupMounts } from "./cgroup.ts";
import { findPodCgroup, podCgroupCandidates } from "./pod-cgroup.ts";

const root = mkdtempSync(join(tmpdir(), "weir-cgroup-"));
afterAll(() => rmSync(root, { recursive: true }));
const uid = "0b7fa1c2-3d4e-4f50-8a6b-7c8d9e0f1a2b";
const flat = uid.replaceAll("-", "_");

describe("a pod's cgroup is found", () => {
  test.each([
    [`kubepods/pod${uid}`, "Guaranteed", "cgroupfs"],
    [`kubepods/burstable/pod${uid}`, "Burstable", "cgroupfs"],
    [`kubepods/besteffort/pod${uid}`, "BestEffort", "cgroupfs"],
    [`kubepods.slice/kubepods-pod${flat}.slice`, "Guaranteed", "systemd"],
    [`kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${flat}.slice`, "Burstable", "systemd"],
    [`kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${flat}.slice`, "BestEffort", "systemd"],
    [`kubelet/kubepods/burstable/pod${uid}`, "Burstable", "cgroupfs"],
    [
      `kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${flat}.slice`,
      "BestEffort",
      "systemd",
    ],
  ])("%s", (path, qos, driver) => {
    expect(findPodCgroup(uid, root)).toBeUndefined();
    mkdirSync(join(root, path), { recursive: true });
    expect(findPodCgroup(uid, root)).toEqual({ path: join(root, path), qos, driver });
    rmSync(join(root, path), { recursive: true });
  });

  test.each(["", "..", "a/b", "../../x", "a b", "x".repeat(64), "-a"])("unless the uid is invalid: %j", (bad) => {
    expect(() => podCgroupCandidates(bad)).toThrow(/no valid uid/);
  });
});

test.each([
  [
    "hybrid",
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n40 31 0:37 / /c rw - cgroup cgroup rw",
    ["/sys/fs/cgroup/unified"],
  ],
  ["unified", "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate", ["/sys/fs/cgroup"]],
  [
    "the whole tree before a part of it",
    "1 2 0:3 /kubelet /a rw - cgroup2 c rw\n4 5 0:3 / /b\\040c rw - cgroup2 c rw",
    ["/b c", "/a"],
  ],
  ["none", "1 2 0:3 / / rw - ext4 /dev/vda rw\n\n", []],
])("mounts of cgroup v2: %s", (_what, text, expected) => {
  expect(cgroupMounts(text)).toEqual(expected);
});
