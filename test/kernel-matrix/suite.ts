import { readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { linked } from "./image.ts";
import { runInVm, type VmResult } from "./vm.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Big, and of no use to a test that runs. */
const LEFT_OUT = new Set(["@biomejs", "@typescript", "@types", "typescript", "vega", "vega-lite", ".vite", ".bin"]);
const OWN = ["src", "test", "bpf", "dist", "package.json", "vitest.config.ts", "tsconfig.json"];
const HEADERS = ["bpf", "linux", "asm-generic", `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/asm`];
const MODULES = ["veth", "vxlan", "sch_ingress", "cls_bpf", "sch_htb", "ifb", "sch_fq", "sch_netem"];
const REPORT = "weir-report ";

/** One test of a suite that ran in the test machine. */
export interface Assertion {
  fullName: string;
  status: string;
  failureMessages: string[];
}

/** Runs kernel tests of this repository in the test machine, as they stand. Resolves to the tests by file. */
export async function runSuiteInVm(
  files: readonly string[],
  timeoutMs: number,
): Promise<{ vm: VmResult; byFile: Map<string, Assertion[]> }> {
  const vitest = ["node", "node_modules/vitest/vitest.mjs", "run", "--project=kernel", "--isolate=false"];
  const limits = ["--testTimeout=120000", "--hookTimeout=120000", "--reporter=json", "--outputFile=/tmp/report"];
  // The runner's own output may end within a line, or with a terminal's codes.
  const script = `"$@" >&2; printf '\\n%s' '${REPORT}'; cat /tmp/report; echo`;
  const command = ["sh", "-c", script, "sh", ...vitest, ...limits, ...files];
  const vm = await runInVm({ files: { ...modules(), ...own(), ...compiler() }, command, modules: MODULES, timeoutMs });
  return { vm, byFile: parse(vm.output) };
}

function own(): Record<string, string> {
  return Object.fromEntries(OWN.map((name) => [`weir/${name}`, join(ROOT, name)]));
}

function modules(): Record<string, string> {
  const directory = join(ROOT, "node_modules");
  const names = readdirSync(directory).filter((name) => !LEFT_OUT.has(name));
  return Object.fromEntries(names.map((name) => [`weir/node_modules/${name}`, join(directory, name)]));
}

/** clang with its libraries and the kernel's headers: tests compile the programs that they bring along. */
function compiler(): Record<string, string> {
  const clang = realpathSync("/usr/bin/clang");
  const native = readdirSync(join(ROOT, "node_modules/@rollup")).map((name) =>
    join(ROOT, "node_modules/@rollup", name),
  );
  const addons = native.flatMap((folder) =>
    readdirSync(folder)
      .filter(isAddon)
      .map((name) => join(folder, name)),
  );
  const libraries = [clang, ...addons].flatMap(linked);
  return {
    "usr/bin/clang": clang,
    ...Object.fromEntries(libraries.map((path) => [path.replace(/^\/(usr\/)?/, "usr/"), path])),
    ...Object.fromEntries(HEADERS.map((name) => [`usr/include/${name}`, `/usr/include/${name}`])),
  };
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
      const unloaded = { fullName: "(the file)", status: "failed", failureMessages: [message] };
      return [name.replace(/^\/weir\//, ""), assertionResults.length > 0 ? assertionResults : [unloaded]];
    }),
  );
}
