import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build, type Metafile } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle } from "../../scripts/bundle.mjs";
import { serve } from "../api/serve.ts";
import { MemoryBackend } from "../api/testing/memory.ts";
import { shop } from "./testing/samples.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
let folder: string;
let weir: string;
let metafile: Metafile;

/** bin/weir beside a bundle of its own, as scripts/build.mjs makes it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-t"));
  weir = join(folder, "bin", "weir");
  await mkdir(join(folder, "bin"));
  await mkdir(join(folder, "node_modules/.bin"), { recursive: true });
  await symlink(process.execPath, join(folder, "node_modules/.bin/node"));
  await copyFile(join(root, "bin", "weir"), weir);
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  const entryPoints = { weir: join(root, "src/cli/main.ts") };
  const result = await build({ ...bundle, entryPoints, outdir: join(folder, "dist"), absWorkingDir: root });
  metafile = result.metafile as Metafile;
});
afterAll(() => rm(folder, { recursive: true }));

const ended = (...argv: string[]) =>
  run(weir, argv).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  );

test("the launcher passes on the command's exit code and streams", async () => {
  expect(await ended("version")).toEqual({ code: 0, stdout: "weir 0.1.0\n", stderr: "" });
  expect(await ended("nonsense")).toMatchObject({ code: 2, stdout: "" });
  const socket = join(folder, "none.sock");
  expect(await ended("status", "--socket", socket)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`connect to agent at ${socket}: ENOENT`),
  });
});

test("the bundle loads modules that commands load at first use", async () => {
  const backend = new MemoryBackend("node-1", shop());
  const server = await serve({ backend, socket: join(folder, "run", "agent.sock") });
  const get = (...argv: string[]) => ended(...argv, "--socket", join(folder, "run", "agent.sock"));
  try {
    expect((await get("get", "pods")).stdout).toMatch(/^NAMESPACE +NAME/);
    expect(JSON.parse((await get("get", "pods", "-o", "json")).stdout).items).toHaveLength(2);
    expect((await get("get", "pods", "-o", "yaml")).stdout).toMatch(/^items:\n/);
    expect((await get("status")).stdout).toContain("ready");
    expect((await ended("explain", "config")).stdout).toContain("rules.rateUnit");
  } finally {
    await server.close();
  }
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s ends an impairment that is waited for", async (signal) => {
  const backend = new MemoryBackend("node-1", shop());
  const [sample] = shop().impairments ?? [];
  if (!sample) throw new Error("no sample");
  backend.impairments = async () =>
    backend.state.objects.map(({ name }) => ({ ...sample, source: `Impairment/shop/${name}` }));
  const socket = join(folder, `${signal}.sock`);
  const server = await serve({ backend, socket });
  const flags = ["--direction", "egress", "--loss", "2%", "--for", "1h", "--wait"];
  const child = spawn(weir, ["impair", "web-10", "-n", "shop", ...flags, "--socket", socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const ending = once(child, "close");
    await once(child.stdout, "data"); // it is in force
    child.kill(signal);
    expect(await ending).toEqual([130, null]);
    expect(backend.state.objects).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    await server.close();
  }
});

/** Packages in what a module of the sources loads when it starts, or, `late`, at any time. */
function packagesOf(source: string, late: boolean): string[] {
  const [entry = ""] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === source) ?? [];
  const loaded = new Set<string>();
  const packages = new Set<string>();
  const visit = (name: string): void => {
    if (loaded.has(name)) return;
    loaded.add(name);
    const { imports = [], inputs = {} } = metafile.outputs[name] ?? {};
    for (const path of Object.keys(inputs)) packages.add(/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? "");
    for (const { path, kind, external } of imports) {
      if (external) packages.add(path);
      else if (late || kind === "import-statement") visit(path);
    }
  };
  visit(entry);
  return [...packages].filter((name) => name !== "" && !isBuiltin(name)).sort();
}

test("an agent loads neither charts nor statistics, and its bundle has no code of them", () => {
  const measuring = /^(simple-statistics|vega.*|@resvg.*|d3-.*)$/;
  const [agent, bench] = ["src/agent/main.ts", "src/bench/commands.ts"].map((source) => packagesOf(source, true));
  expect(agent).toEqual(expect.arrayContaining(["fastify", "koffi"]));
  expect(agent?.filter((name) => measuring.test(name))).toEqual([]);
  expect(bench?.filter((name) => measuring.test(name)).length).toBeGreaterThan(1); // they would be seen
});

test("zod's messages are bundled in one language", () => {
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
  const languages = new Set(inputs.filter((path) => /zod\/v4\/locales\/\w+\.js$/.test(path)));
  expect([...languages].map((path) => path.split("/").at(-1))).toEqual(["en.js"]);
});

test("a measurement reports at its start which packages an agent's installation lacks", async () => {
  expect(await ended("bench", "limits")).toEqual({
    ...{ code: 1, stdout: "" },
    stderr:
      "weir: measure limits: simple-statistics, vega, vega-lite, @resvg/resvg-js are not installed (npm run setup)\n",
  });
});

test("no start loads one of the large libraries", async () => {
  expect(packagesOf("src/cli/main.ts", false)).toEqual(["commander"]);

  const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports);
  const eager = imported.filter(({ path, kind }) => isBuiltin(path) && kind !== "require-call");
  expect(eager).toEqual([]); // lateModules of scripts/bundle.mjs

  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const begin = performance.now();
    await run(weir, ["--help"]);
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  console.log(
    `weir --help: median ${times[2]?.toFixed(0)} ms of ${times.length} (aim: at most 100 ms on an idle machine)`,
  );
});
