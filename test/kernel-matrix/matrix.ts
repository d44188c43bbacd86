import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { runInVm, type VmOptions, type VmResult } from "./vm.ts";

export { type CheckResult, checks } from "./report.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Modules outside the bundle; koffi keeps its binary in the second folder. */
const NATIVE = ["koffi", "@koromix"];

/** Names of the objects of the build. */
export function builtObjects(): string[] {
  const names = readdirSync(join(ROOT, "dist/bpf")).filter((name) => name.endsWith(".bpf.o"));
  return names.map((name) => basename(name, ".bpf.o")).sort();
}

/**
 * Bundles a TypeScript file and runs it with Node.js in the test machine, with this repository's `dist`, `bin` and
 * examples.
 */
export async function runScriptInVm(entry: string, options: Partial<VmOptions> = {}): Promise<VmResult> {
  const scratch = mkdtempSync(join(tmpdir(), "weir-guest-"));
  const script = join(scratch, "script.mjs");
  try {
    await build({
      entryPoints: [entry],
      outfile: script,
      bundle: true,
      format: "esm",
      platform: "node",
      external: ["koffi"],
      logLevel: "silent",
    });
    const native = NATIVE.map((name) => [`weir/node_modules/${name}`, join(ROOT, "node_modules", name)] as const);
    const own = ["dist", "bin", "examples", "package.json"].map((name) => [`weir/${name}`, join(ROOT, name)] as const);
    const files = Object.fromEntries([...native, ...own, ["weir/script.mjs", script]]);
    return await runInVm({
      command: ["node", "--enable-source-maps", "script.mjs"],
      ...options,
      files: { ...files, ...options.files },
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
