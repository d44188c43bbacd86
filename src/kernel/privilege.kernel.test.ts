import { chmodSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCgroup } from "./cgroup.ts";
import { KernelError } from "./errors.ts";
import { BpfMap } from "./map.ts";
import { createNamespace, inNamespace } from "./namespace.ts";
import { createLink } from "./netlink/link.ts";
import { loadObject } from "./object.ts";
import { isBpffs, mountBpffs, unmountBpffs } from "./pin.ts";
import { asNobody, compile, openFds, runName, scratch, scratchBpffs } from "./testdata/harness.ts";

const directory = scratch();
chmodSync(directory, 0o755);
const bpffs = scratchBpffs(directory);
const good = compile("good", directory);
const object = loadObject(good, { pinDir: bpffs, pinMaps: (name) => name === "test_array" });
object.close();

test.each([
  ["load", () => loadObject(good), "load-failed", /^load object .*good.bpf.o: EPERM \(needs root/],
  [
    "open a pin",
    () => BpfMap.open(join(bpffs, "test_array")),
    "open-failed",
    /^open pinned map .*: E(PERM|ACCES) \(needs root/,
  ],
  ["mount", () => mountBpffs(join(directory, "other")), "pin-failed", /^make directory .*: EACCES/],
  [
    "make a namespace",
    () => createNamespace(runName("nobody")),
    "namespace-create-failed",
    /: E(PERM|ACCES) \(needs root/,
  ],
  ["enter a namespace", () => inNamespace("/proc/1/ns/net", () => 0), "namespace-missing", /: EACCES/],
  [
    "make a device",
    () => createLink({ name: "x0", kind: "ifb" }),
    "netlink-refused",
    /^create ifb x0: EPERM \(needs root/,
  ],
  ["make a cgroup", () => createCgroup(runName("nobody")), "cgroup-failed", /^create cgroup .*: EACCES \(needs root/],
])("without privilege: %s", (_what, fn, code, message) => {
  const before = openFds();
  let error: unknown;
  try {
    asNobody(fn);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(KernelError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(openFds()).toBe(before);
});

test("mounting a bpffs is idempotent", () => {
  expect(isBpffs(bpffs)).toBe(true);
  mountBpffs(bpffs);
  expect(isBpffs(join(directory, "none"))).toBe(false);
});

test("only root can access a bpffs that Weir mounted", () => {
  const path = join(directory, "own");
  mountBpffs(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  unmountBpffs(path);
  expect(isBpffs(path)).toBe(false);
});
