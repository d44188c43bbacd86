import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { cpuMask, steerFlows, unsteered, writeMask } from "./steering.ts";

const root = mkdtempSync(join(tmpdir(), "weir-steering-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Creates a device's files as in sysfs. Returns the file of its mask. */
function device(name: string): string {
  const queue = join(root, "class/net", name, "queues/rx-0");
  mkdirSync(queue, { recursive: true });
  return join(queue, "rps_cpus");
}

test.each([
  [1, "1"],
  [2, "3"],
  [32, "ffffffff"],
  [33, "1,ffffffff"],
  [40, "ff,ffffffff"],
  [100, "f,ffffffff,ffffffff,ffffffff"],
])("the mask of %d processors is %s", (count, mask) => {
  expect(cpuMask(count)).toBe(mask);
});

test("one processor needs no steering, whatever the device", () => {
  expect(steerFlows("weir_none", 1)).toBeUndefined();
});

test("the mask is written", () => {
  const file = device("a");
  writeFileSync(file, "0");
  expect(writeMask(root, "a", "3")).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe("3");
  expect(writeMask(root, "a")).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe("3");
});

test("a kernel without packet steering is distinguished from a missing device, and nothing is created", () => {
  const file = device("b");
  expect(writeMask(root, "b", "3")).toBe("the kernel has no packet steering: use one with CONFIG_RPS");
  expect(() => readFileSync(file)).toThrow("ENOENT");
  expect(writeMask(root, "c", "3")).toBe("there is no device c");
});

test.each([
  ["write", "ENOENT", "the kernel has no packet steering: use one with CONFIG_RPS"],
  ["mount", "ENODEV", "the kernel has no packet steering: use one with CONFIG_SYSFS and CONFIG_RPS"],
  ["write", "EACCES", "sysfs refuses it: EACCES, needs root, or a security module denies it"],
  ["write", "EROFS", "sysfs refuses it: EROFS, it is read-only: remount /sys with rw where the agent runs"],
  ["write", "EPERM", "sysfs refuses it: EPERM, needs CAP_NET_ADMIN in the first user namespace"],
  ["write", "EINVAL", "sysfs refuses it: EINVAL"],
  ["mount", "EPERM", "sysfs cannot be mounted: EPERM, needs CAP_SYS_ADMIN"],
  ["place", "ENOSPC", "no folder to mount sysfs on can be created: ENOSPC"],
] as const)("%s refused by %s: %s", (step, errno, reason) => {
  expect(unsteered(step, errno)).toBe(reason);
});
