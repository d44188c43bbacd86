import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const json = (path: string) => JSON.parse(readFileSync(join(ROOT, path), "utf8"));
const { optionalDependencies: platforms, devDependencies } = json("package.json");
const locked: Record<string, { version?: string; dev?: boolean; integrity?: string; cpu?: string }> =
  json("package-lock.json").packages;
const NODE = realpathSync(join(ROOT, "node_modules/.bin/node"));

describe("the pinned Node.js", () => {
  test.each(["x64", "arm64"])("is locked for %s", (cpu) => {
    const name = `node-linux-${cpu}`;
    const { version, integrity, ...rest } = locked[`node_modules/${name}`] ?? {};
    expect({ version, ...rest }).toMatchObject({ version: platforms[name], cpu, optional: true });
    expect(integrity).toMatch(/^sha512-/);
  });

  test("is the version that tests run on and that the types describe", () => {
    const versions = new Set(Object.values(platforms));
    expect([...versions]).toEqual([process.versions.node]);
    expect(process.execPath).toBe(NODE);
    expect(devDependencies["@types/node"].split(".")[0]).toBe(process.versions.node.split(".")[0]);
  });
});

test("an agent is installed without dependencies of measurements and tests", () => {
  const alone = Object.entries(locked).flatMap(([path, { dev }]) => (dev ? [] : [path.replace("node_modules/", "")]));
  expect(alone).toContain("koffi");
  expect(alone.filter((name) => /vega|resvg|statistics|^d3-|vitest|^vite$|typescript|biome/.test(name))).toEqual([]);
});

describe("bin/weir", () => {
  // A name that a shell could split into words, or expand.
  const folder = mkdtempSync(join(tmpdir(), "weir a 'b' $c "));
  const root = join(folder, "root");
  const tell = `console.log(JSON.stringify({
    argv: process.argv.slice(1), node: process.execPath, pid: process.pid, cwd: process.cwd(), env: process.env,
  }))`;

  beforeAll(() => {
    for (const name of ["bin", "dist", "node_modules/.bin", "path"]) mkdirSync(join(root, name), { recursive: true });
    cpSync(join(ROOT, "bin/weir"), join(root, "bin/weir"));
    writeFileSync(join(root, "dist/weir.js"), tell);
    symlinkSync(NODE, join(root, "node_modules/.bin/node"));
    symlinkSync("../bin/weir", join(root, "path/weir"));
    symlinkSync("path/weir", join(root, "twice"));
    symlinkSync("root", join(folder, "other"));
    symlinkSync("root/bin", join(folder, "programs"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each<[string, string, string, NodeJS.ProcessEnv]>([
    ["by its path", join(root, "bin/weir"), "/", {}],
    ["where nothing else can be found", join(root, "bin/weir"), "/", { PATH: "/none" }],
    ["from its root", "bin/weir", root, {}],
    ["from its folder", "./weir", join(root, "bin"), {}],
    ["by a link", join(root, "path/weir"), "/", {}],
    ["by a link to a link", join(root, "twice"), "/", {}],
    ["by a link in the path", "weir", "/", { PATH: `${join(root, "path")}:/usr/bin:/bin` }],
    ["in a folder that is a link", join(folder, "other/bin/weir"), "/", {}],
    ["in a folder of programs that is a link", join(folder, "programs/weir"), "/", {}],
    ["where CDPATH has another one", "bin/weir", root, { CDPATH: "/usr" }],
  ])("called %s, it executes the pinned Node.js with the build", (_, command, cwd, env) => {
    const args = ["a b", "", "*", "--", "$x", "é\n"];
    const given = { PATH: "/usr/bin:/bin", NODE_EXTRA_CA_CERTS: "/none", KEPT: "1", ...env };
    const { pid, stdout, stderr, status } = spawnSync(command, args, { cwd, env: given, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const said = JSON.parse(stdout);
    expect(said).toMatchObject({ argv: [join(root, "dist/weir.js"), ...args], node: NODE, pid, cwd });
    expect(said.env).toMatchObject({ KEPT: "1" });
    expect(said.env).not.toHaveProperty("NODE_EXTRA_CA_CERTS");
  });

  test("works when a shell reads it in its own folder", () => {
    const { stdout } = spawnSync("sh", ["weir"], { cwd: join(root, "bin"), encoding: "utf8" });
    expect(JSON.parse(stdout).argv).toEqual([join(root, "dist/weir.js")]);
  });

  test.each([
    ["Node.js", "node_modules/.bin/node"],
    ["the build", "dist/weir.js"],
  ])("names the command to run if %s is missing", (_, file) => {
    const other = join(folder, "incomplete");
    cpSync(root, other, { recursive: true, verbatimSymlinks: true });
    rmSync(join(other, file));
    const { status, stdout, stderr } = spawnSync(join(other, "bin/weir"), ["version"], { encoding: "utf8" });
    rmSync(other, { recursive: true });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe(`weir: start: ${join(other, file)} is missing (run npm run setup in ${other})\n`);
  });
});
