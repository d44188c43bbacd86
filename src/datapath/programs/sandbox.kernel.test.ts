import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS, resolveProgram, Sandbox } from "./sandbox.ts";

const scratch = mkdtempSync(join(tmpdir(), "weir-sandbox-test-"));
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.open({ scratch, directories: ["/usr/lib", "/lib", "/lib64", "/usr/bin"] });
});
afterAll(() => {
  sandbox?.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** Runs a program in the sandbox. Returns its output and exit status. */
async function inside(program: string, ...args: string[]) {
  const { code, stdout, stderr, limit } = await sandbox.run({
    argv: [resolveProgram(program), ...args],
    input: "text",
  });
  return { code, limit, out: `${stdout}${stderr}` };
}

test("a program reads standard input and its output is returned", async () => {
  expect(await inside("cat")).toEqual({ code: 0, limit: undefined, out: "text" });
});

test.each([
  ["the user has no name", ["id", "-u"], /^65533\n$/],
  ["no group is left", ["id", "-G"], /^65533\n$/],
  ["there are only the directories that were named", ["ls", "/"], /^lib\nlib64\nusr\n$/],
  ["no secrets", ["cat", "/etc/shadow"], /No such file/],
  ["no processes, its own neither", ["ls", "/proc"], /No such file/],
  ["no devices", ["cat", "/dev/zero"], /No such file/],
  ["nothing can be written", ["touch", "/x"], /Permission denied|Read-only|File too large/],
  ["nor where the machine's files are", ["touch", "/usr/lib/x"], /Permission denied|Read-only|File too large/],
])("%s", async (_what, [program = "", ...args], expected) => {
  expect((await inside(program, ...args)).out).toMatch(expected);
});

test("a program that exceeds a limit is killed, and the limit is named", async () => {
  const { code, limit } = await inside("sh", "-c", "while :; do :; done");
  expect({ code, limit }).toEqual({ code: null, limit: `${LIMITS.cpuSeconds} s of CPU time, or its memory` });
  expect((await inside("yes")).limit).toBe(`${LIMITS.output / 1024 ** 2} MiB of output`);
});

test("the sandbox's root is empty outside of its mount namespace, and is removed with it", async () => {
  const other = await Sandbox.open({ scratch, directories: ["/usr/lib"] });
  const made = readdirSync(scratch);
  expect(made).toHaveLength(2);
  for (const name of made) expect(readdirSync(join(scratch, name))).toEqual([]);
  other.close();
  expect(readdirSync(scratch)).toHaveLength(1);
});

test("a sweep removes what a killed process left, and nothing else", async () => {
  writeFileSync(join(scratch, "sandbox-x.fstab"), "");
  writeFileSync(join(scratch, "mine"), "");
  Sandbox.sweep(scratch);
  expect(readdirSync(scratch)).toEqual(["mine"]);
});

test("a missing directory is an error with its name", async () => {
  await expect(Sandbox.open({ scratch, directories: ["/no-such"] })).rejects.toThrow(/^make sandbox: .*no-such/);
});
