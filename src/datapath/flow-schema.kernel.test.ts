import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { flowFolder } from "./flow-folder.ts";
import { readObject } from "./objects.ts";
import { compileObject } from "./testing/bench.ts";

const root = new URL("../..", import.meta.url).pathname;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-schema-"));
  compileObject("bpf/testing/track.bpf.c", join(directory, "track.bpf.o"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Compiles the tracking object with a changed flow.h. */
function variant(name: string, from: string, to: string): ReturnType<typeof readObject> {
  const tree = join(directory, name);
  cpSync(join(root, "bpf"), tree, { recursive: true });
  const text = readFileSync(join(tree, "flow.h"), "utf8");
  if (!text.includes(from)) throw new Error(`find ${from} in flow.h`);
  writeFileSync(join(tree, "flow.h"), text.replace(from, to));
  const out = join(directory, `${name}.bpf.o`);
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", `-I${tree}`, include];
  execFileSync("clang", [...flags, "-c", join(tree, "testing/track.bpf.c"), "-o", out]);
  return readObject(directory, name);
}
const folder = (...files: ReturnType<typeof readObject>[]) => basename(flowFolder("/x", files) ?? "none");

test("naming spare bytes keeps the schema, moving a field does not", () => {
  const plain = readObject(directory, "track");
  const named = variant("named", "	__u8 spare[20];\n};", "	struct { __u32 policy; __u8 rest[16]; } spare;\n};");
  const moved = variant("moved", "	__u32 service;\n	__u32 backend;", "	__u32 backend;\n	__u32 service;");
  expect(folder(plain)).toMatch(/^flows-[0-9a-f]{8}$/);
  expect(folder(named)).toBe(folder(plain));
  expect(folder(moved)).not.toBe(folder(plain));
  expect(() => folder(plain, moved)).toThrow(/disagree/);
  expect(folder(readObject(join(root, "dist/bpf"), "router"))).toBe("none");
});
