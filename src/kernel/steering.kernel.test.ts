import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { libc } from "./ffi.ts";
import { inFreshNamespace } from "./namespace.ts";
import { runProbes } from "./probes.ts";
import { cpuMask, steerFlows } from "./steering.ts";
import { asNobody, scratch } from "./testdata/harness.ts";

const MNT_DETACH = 2;
const MS_RDONLY = 1;
const folder = scratch();
/** At least two, also on a machine with one processor. */
const COUNT = Math.max(2, cpus().length);

/** Calls `fn` with sysfs of this thread's namespace mounted at a path of its own. */
function withSysfs<T>(name: string, flags: number, fn: (path: string) => T): T {
  const path = join(folder, name);
  mkdirSync(path);
  expect(libc.mount("sysfs", path, "sysfs", flags, null)).toBe(0);
  try {
    return fn(path);
  } finally {
    libc.umount2(path, MNT_DETACH);
  }
}

const fileIn = (sysfs: string): string => join(sysfs, "class/net/lo/queues/rx-0/rps_cpus");
const maskIn = (sysfs: string): string => readFileSync(fileIn(sysfs), "utf8").trim();

const steeringProbe = () => runProbes().find(({ name }) => name === "packet steering");

test("a device of the thread's namespace receives flows on all processors", () => {
  const seen = inFreshNamespace(() => {
    expect(steerFlows("lo", COUNT)).toBeUndefined();
    return withSysfs("own", 0, maskIn);
  });
  expect(seen.replace(/^[0,]*/, "")).toBe(cpuMask(COUNT));
});

test("a missing device and a read-only sysfs are reported as that", () => {
  const refused = inFreshNamespace(() => [
    steerFlows("weir_none", COUNT),
    // mounts of one namespace's sysfs share a superblock
    withSysfs("read-only", MS_RDONLY, () => steerFlows("lo", COUNT)),
  ]);
  expect(refused).toEqual([
    "there is no device weir_none",
    "sysfs refuses it: EROFS, it is read-only: remount /sys with rw where the agent runs",
  ]);
});

test("the probe reports a read-only sysfs of this namespace, with the consequence", () => {
  const probe = inFreshNamespace(() => withSysfs("read-only-too", MS_RDONLY, steeringProbe));
  expect(probe).toMatchObject({
    available: false,
    required: false,
    hint: "packets of a limited or delayed flow may overtake each other on a machine with several processors (sysfs refuses it: EROFS, it is read-only: remount /sys with rw where the agent runs)",
  });
});

test("without the capability to mount, that is the reason", () => {
  expect(asNobody(() => steerFlows("lo", COUNT))).toBe("sysfs cannot be mounted: EPERM, needs CAP_SYS_ADMIN");
});

test("the probe determines what this kernel has, changes no device of the host and leaves nothing", () => {
  const host = () => (existsSync(fileIn("/sys")) ? maskIn("/sys") : undefined);
  const before = host();
  const empty = join(folder, "tmp");
  mkdirSync(empty);
  vi.stubEnv("TMPDIR", empty);
  const probe = steeringProbe();
  vi.unstubAllEnvs();
  expect(probe).toMatchObject({ available: before !== undefined, required: false, minimum: "2.6.35" });
  expect(host()).toBe(before);
  expect(readdirSync(empty)).toEqual([]);
});
