// Runs the checks and closes with one line: `N passed, N failed`. A skipped test counts as failed.
// usage: test.mjs [lint|unit|kernel|e2e|api|matrix …] [-- FILTER…]      all parts if none is named
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), "weir-test-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
delete process.env.NODE_EXTRA_CA_CERTS; // 40 ms at every start of node
process.env.PATH = `${join(process.cwd(), "node_modules/.bin")}:${process.env.PATH}:/usr/sbin:/sbin`;

const [names, filters] = split(process.argv.slice(2));
const PARTS = {
  lint: async () =>
    total([await check("biome", ["check", "--error-on-warnings", "."]), await check("tsc", ["--noEmit"])]),
  unit: () => vitest("unit"),
  kernel: () => vitest("kernel"),
  e2e: () => vitest("e2e"),
  api: () => vitest("api"),
  matrix: () => vitest("vm"),
};

function split(args) {
  const at = args.indexOf("--");
  return at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
}

function total(results) {
  return results.reduce((a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed }), {
    passed: 0,
    failed: 0,
  });
}

/** Runs a command with this process's stdio; resolves to its exit code, 1 if it could not start. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => {
      process.stderr.write(`run ${command}: ${error.message}\n`);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

async function check(command, args) {
  const code = await run(command, args);
  process.stdout.write(`${command}: ${code === 0 ? "passed" : "failed"}\n`);
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

async function vitest(project) {
  const report = join(scratch, `${project}.json`);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const code = await run("vitest", ["run", `--project=${project}`, ...reporters, ...filters]);
  const { passed, failed } = tally(report);
  // A suite that dies before its first test, an error outside of tests and a layer without tests name no test.
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

/** Every test that has not passed counts as failed: skipped, todo and pending tests too. */
function tally(report) {
  try {
    const { numTotalTests, numPassedTests } = JSON.parse(readFileSync(report, "utf8"));
    return { passed: numPassedTests, failed: numTotalTests - numPassedTests };
  } catch (error) {
    process.stderr.write(`read vitest's report: ${error.message}\n`);
    return { passed: 0, failed: 1 };
  }
}

const unknown = names.filter((name) => !(name in PARTS));
if (unknown.length > 0) {
  process.stderr.write(`test: no part ${unknown.join(", ")} (parts: ${Object.keys(PARTS).join(", ")})\n`);
  process.exit(2);
}
/**
 * Builds the API tests' programs while other parts run; on a new machine that takes minutes. The API tests wait for it,
 * or build them.
 */
function makeControlPlane() {
  const log = openSync(join(scratch, "control-plane.log"), "w");
  const stdio = ["ignore", log, log];
  spawn("nice", ["-n", "19", "sh", "test/control-plane/programs/make.sh"], { stdio })
    .on("error", () => {})
    .unref();
}

const results = [];
const chosen = names.length > 0 ? names : Object.keys(PARTS);
if (chosen.length > 1 && chosen.includes("api") && !process.env.KUBEBUILDER_ASSETS) makeControlPlane();
for (const name of chosen) {
  process.stdout.write(`\n== ${name}\n`);
  const started = performance.now();
  const result = await PARTS[name]();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`== ${name}: ${result.passed} passed, ${result.failed} failed in ${seconds} s\n`);
  results.push(result);
}
const { passed, failed } = total(results);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
