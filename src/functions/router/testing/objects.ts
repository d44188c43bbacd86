import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

const root = new URL("../../../..", import.meta.url).pathname;
const SOURCES = ["bpf/entry.bpf.c", "src/functions/router/router.bpf.c"];
const FLAGS = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf"];
const INCLUDE = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;

/** The folder with the entry programs and the router, compiled from the present sources; once for all test files. */
export function compiledObjects(): string {
  const folder = join(root, "dist/test-objects", digest());
  if (existsSync(folder)) return folder;
  mkdirSync(join(folder, ".."), { recursive: true });
  const scratch = mkdtempSync(`${folder}.`);
  for (const source of SOURCES) {
    const object = join(scratch, basename(source).replace(/c$/, "o"));
    execFileSync("clang", [...FLAGS, INCLUDE, "-c", source, "-o", object], { cwd: root });
  }
  try {
    renameSync(scratch, folder);
  } catch {
    rmSync(scratch, { recursive: true }); // another process has compiled them meanwhile
  }
  return folder;
}

function digest(): string {
  const hash = createHash("sha256").update([...FLAGS, INCLUDE].join(" "));
  for (const folder of ["bpf", "src/functions/router"]) {
    const names = readdirSync(join(root, folder)).filter((name) => /\.[ch]$/.test(name));
    for (const name of names.sort()) hash.update(name).update(readFileSync(join(root, folder, name)));
  }
  return hash.digest("hex").slice(0, 16);
}
