import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-scripts-"));
  for (const name of ["scripts", "vitest.config.ts", "package.json", "package-lock.json"]) {
    cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text);
}

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const options = { cwd: directory, encoding: "utf8" as const, env: { ...process.env, ...env } };
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(directory, script), ...args], options);
  return { stdout, stderr, status };
}

describe("build", () => {
  const build = (env?: NodeJS.ProcessEnv) => run("scripts/build.mjs", [], env);
  const later = (path: string) => {
    const time = new Date(Date.now() + 5000);
    utimesSync(join(directory, path), time, time);
  };

  beforeEach(() => {
    write("bpf/one.h", "static const int one = 1;\n");
    write("bpf/one.bpf.c", '#include "one.h"\nint answer(void)\n{\n\treturn one;\n}\n');
    write("src/functions/two/two.bpf.c", "int two(void)\n{\n\treturn 2;\n}\n");
    write("src/functions/two/testdata/not.bpf.c", "this is no C\n");
    write("src/cli/main.ts", 'import { name } from "./name.ts";\nconsole.log(name satisfies string);\n');
    write("src/cli/name.ts", 'export const name: string = "weir";\n');
  });

  test("builds the objects and the command, and a second run has nothing to do", () => {
    expect(build().stdout).toMatch(/^build: one\.bpf\.o, two\.bpf\.o, weir\.js in [\d.]+ s\n$/);
    expect(run("dist/weir.js", []).stdout).toBe("weir\n");
    expect(build().stdout).toBe("build: nothing to do\n");
  });

  test.each([
    ["a header", "bpf/one.h", /^build: one\.bpf\.o in/],
    ["a source", "src/functions/two/two.bpf.c", /^build: two\.bpf\.o in/],
    ["a module", "src/cli/name.ts", /^build: weir\.js in/],
  ])("rebuilds only the outputs that depend on %s", (_, path, expected) => {
    build();
    later(path);
    expect(build().stdout).toMatch(expected);
  });

  test("removes the object of a deleted source", () => {
    build();
    rmSync(join(directory, "src/functions/two"), { recursive: true });
    build();
    expect(readdirSync(join(directory, "dist/bpf")).filter((name) => name.endsWith(".o"))).toEqual(["one.bpf.o"]);
  });

  test("writes another ABI into its own directory", () => {
    write("bpf/one.bpf.c", '_Static_assert(WEIR_ABI == 7, "the ABI\'s number");\n');
    expect(build({ WEIR_ABI: "7" })).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(join(directory, "dist"))).toEqual(["bpf-abi7"]);
  });

  test("prints all errors completely and keeps valid outputs", () => {
    build();
    write("bpf/one.bpf.c", "int one(void)\n{\n\treturn missing_name;\n}\n");
    write("src/cli/name.ts", "export const name = ;\n");
    later("bpf/one.bpf.c");
    later("src/cli/name.ts");
    const { status, stderr } = build();
    expect(status).toBe(1);
    expect(stderr).toContain("use of undeclared identifier 'missing_name'");
    expect(stderr).toContain("src/cli/name.ts:1:20");
    expect(run("dist/weir.js", []).stdout).toBe("weir\n");
  });
});

describe("test runner", () => {
  const HEAD = 'import { expect, test } from "vitest";\n';
  const closing = (args: readonly string[]) => {
    const { stdout, status } = run("scripts/test.mjs", args);
    return [stdout.trimEnd().split("\n").at(-1), status];
  };

  test.each([
    ["all passed", 'test("a", () => {});\ntest("b", () => {});', "2 passed, 0 failed", 0],
    ["one failed", 'test("a", () => {});\ntest("b", () => expect(1).toBe(2));', "1 passed, 1 failed", 1],
    ["a skipped test is a failed one", 'test("a", () => {});\ntest.skip("b", () => {});', "1 passed, 1 failed", 1],
    ["so is one that is to be written", 'test("a", () => {});\ntest.todo("b");', "1 passed, 1 failed", 1],
    ["a file that does not load", 'test("a", () => {});\nthrow new Error("no");', "0 passed, 1 failed", 1],
    [
      "an error after the test",
      'test("a", () => { setTimeout(() => { throw new Error("late"); }); });',
      "1 passed, 1 failed",
      1,
    ],
  ])("%s", (_, body, line, status) => {
    write("src/a.test.ts", HEAD + body);
    expect(closing(["unit"])).toEqual([line, status]);
  });

  test("a layer without tests counts as failed", () => {
    write("src/a.test.ts", `${HEAD}test("a", () => {});`);
    expect(closing(["unit", "e2e"])).toEqual(["1 passed, 1 failed", 1]);
  });

  test("an unknown part is reported by name", () => {
    expect(run("scripts/test.mjs", ["units"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("no part units"),
    });
  });
});
