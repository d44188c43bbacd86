import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  cgroupId,
  cgroupProcesses,
  cgroupRoot,
  createCgroup,
  killCgroup,
  moveToCgroup,
  removeCgroup,
} from "./cgroup.ts";
import type { KernelError } from "./errors.ts";
import { runName } from "./testdata/harness.ts";

const name = runName("cgroup");
afterAll(() => removeCgroup(join(cgroupRoot(), name)));

test("a process is moved into a cgroup, keeps it busy, and is killed; the tree is removed", async () => {
  const inner = createCgroup(`${name}/a/b`);
  expect(createCgroup(`${name}/a/b`)).toBe(inner);
  expect(cgroupId(inner)).toBeGreaterThan(0n);
  const child = spawn("sleep", ["60"]);
  moveToCgroup(inner, child.pid as number);
  expect(cgroupProcesses(inner)).toEqual([child.pid]);
  expect(() => removeCgroup(join(cgroupRoot(), name))).toThrow(/^remove cgroup .*b: EBUSY \(it still has processes\)/);
  const exited = once(child, "exit");
  killCgroup(join(cgroupRoot(), name));
  await exited;
  expect(cgroupProcesses(inner)).toEqual([]);
  removeCgroup(join(cgroupRoot(), name));
  removeCgroup(join(cgroupRoot(), name));
  killCgroup(inner);
  expect([existsSync(inner), cgroupProcesses(inner)]).toEqual([false, []]);
});

test("failing operations have their codes", () => {
  for (const bad of ["", ".", "..", "../x", "/"]) expect(() => createCgroup(bad)).toThrow(/must lie below the root/);
  const path = createCgroup(`${name}/c`);
  expect(() => moveToCgroup(path, 2 ** 22 + 5)).toThrow(/^move process 4194309 to cgroup .*: ESRCH/);
  const proc = mkdtempSync(join(tmpdir(), "weir-proc-"));
  expect(() => cgroupRoot(proc)).toThrow(/ENOENT/);
  rmSync(proc, { recursive: true });
  expect(() => cgroupId(join(path, "none"))).toThrow(
    expect.objectContaining<Partial<KernelError>>({ code: "cgroup-failed" }),
  );
});
