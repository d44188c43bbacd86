import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { linked } from "./image.ts";
import { runInVm, type VmResult } from "./vm.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Large modules that the tests do not use. The machine's Node.js is in another place. */
const LEFT_OUT = new Set(
  ["@biomejs", "@typescript", "@types", "typescript", "vega", "vega-lite", ".vite", ".bin"].concat(
    ["x64", "arm64"].map((cpu) => `node-linux-${cpu}`),
  ),
);
const OWN = ["src", "test", "bpf", "dist", "package.json", "vitest.config.ts", "tsconfig.json"];
/** ABI numbers that tests build panels with. */
const ABIS = [2, 3, 4];
const MODULES = ["veth", "vxlan", "sch_ingress", "cls_bpf", "sch_htb", "sch_tbf", "ifb", "sch_fq", "sch_netem"];
const REPORT = "weir-report ";

/** One test of a suite that ran in the test machine. */
export interface Assertion {
  fullName: string;
  status: string;
  failureMessages: string[];
}

/** Runs this repository's kernel tests in the test machine. Resolves to the tests by file. */
export async function runSuiteInVm(
  files: readonly string[],
  timeoutMs: number,
): Promise<{ vm: VmResult; byFile: Map<string, Assertion[]> }> {
  const vitest = ["node", "node_modules/vitest/vitest.mjs", "run", "--project=kernel", "--isolate=false"];
  const limits = ["--testTimeout=600000", "--hookTimeout=600000", "--reporter=json", "--outputFile=/tmp/report"];
  // The runner's output may end within a line, or with a terminal's escape codes.
  const script = `"$@" >&2; printf '\\n%s' '${REPORT}'; cat /tmp/report; echo`;
  const command = ["sh", "-c", script, "sh", ...vitest, ...limits, ...files];
  const objects = mkdtempSync(join(tmpdir(), "weir-objects-"));
  try {
    for (const abi of ABIS) compileAll(join(objects, `abi-${abi}`), abi);
    const given = { ...modules(), ...own(), ...libraries(), ...compiler(objects) };
    const vm = await runInVm({ files: given, command, modules: MODULES, timeoutMs });
    return { vm, byFile: parse(vm.output) };
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}

function own(): Record<string, string> {
  return Object.fromEntries(OWN.map((name) => [`weir/${name}`, join(ROOT, name)]));
}

function modules(): Record<string, string> {
  const directory = join(ROOT, "node_modules");
  const names = readdirSync(directory).filter((name) => !LEFT_OUT.has(name));
  return Object.fromEntries(names.map((name) => [`weir/node_modules/${name}`, join(directory, name)]));
}

/** The libraries of vitest's native modules. */
function libraries(): Record<string, string> {
  const native = readdirSync(join(ROOT, "node_modules/@rollup")).map((name) =>
    join(ROOT, "node_modules/@rollup", name),
  );
  const addons = native.flatMap((folder) =>
    readdirSync(folder)
      .filter(isAddon)
      .map((name) => join(folder, name)),
  );
  return Object.fromEntries(addons.flatMap(linked).map((path) => [path.replace(/^\/(usr\/)?/, "usr/"), path]));
}

/** Compiling would take most of the machine's time, so its clang returns objects that were compiled here. */
function compiler(objects: string): Record<string, string> {
  return { "usr/bin/clang": join(import.meta.dirname, "clang.sh"), "weir/objects": objects };
}

/** All BPF programs, those of tests included, compiled as in the build. */
function compileAll(directory: string, abi: number): void {
  mkdirSync(directory);
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf"];
  const include = `-I/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const listed = execFileSync("git", ["ls-files", "*.bpf.c"], { cwd: ROOT, encoding: "utf8" });
  for (const source of listed.split("\n").filter((path) => path !== "")) {
    const out = join(directory, basename(source).replace(/c$/, "o"));
    execFileSync("clang", [...flags, include, `-DWEIR_ABI=${abi}`, "-c", source, "-o", out], { cwd: ROOT });
  }
}

const isAddon = (name: string): boolean => name.endsWith(".node");

function parse(output: string): Map<string, Assertion[]> {
  const line = output.split("\n").find((text) => text.startsWith(REPORT));
  if (!line) return new Map();
  const { testResults } = JSON.parse(line.slice(REPORT.length)) as {
    testResults: { name: string; message: string; assertionResults: Assertion[] }[];
  };
  return new Map(
    testResults.map(({ name, message, assertionResults }) => {
      // A failure outside of tests: in a hook or while loading the file.
      const outside = { fullName: "(the file)", status: "failed", failureMessages: [message] };
      const hasRun = message === "" && assertionResults.length > 0;
      return [name.replace(/^\/weir\//, ""), hasRun ? assertionResults : [outside, ...assertionResults]];
    }),
  );
}
