import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { libc } from "../ffi.ts";
import { mountBpffs } from "../pin.ts";

const MNT_DETACH = 2;

/** A name that is unique to this run. */
export const runName = (suffix: string): string => `weir-t${process.pid}-${suffix}`;

/** A directory of this test file, removed after its tests. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "weir-kernel-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A bpffs of this test file, unmounted after its tests. */
export function scratchBpffs(directory: string): string {
  const path = join(directory, "bpf");
  mountBpffs(path);
  afterAll(() => libc.umount2(path, MNT_DETACH));
  return path;
}

/** Compiles testdata/NAME.bpf.c with the product's compiler flags. Returns the object's path. */
export function compile(name: string, directory: string): string {
  const out = join(directory, `${name}.bpf.o`);
  const source = new URL(`./${name}.bpf.c`, import.meta.url).pathname;
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"];
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  execFileSync("clang", [...flags, include, "-c", source, "-o", out]);
  return out;
}

/** Number of open descriptors of this process. */
export const openFds = (): number => readdirSync("/proc/self/fd").length;

/** Calls `fn` without root's capabilities. */
export function asNobody<T>(fn: () => T): T {
  process.seteuid?.(65534);
  try {
    return fn();
  } finally {
    process.seteuid?.(0);
  }
}
