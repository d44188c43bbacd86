// Builds dist/: BPF objects with clang, the weir command with esbuild. Only what changed.
// usage: build.mjs [--quiet] [--force]      WEIR_ABI=3: BPF objects of that panel ABI alone, into dist/bpf-abi3/
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bundle } from "./bundle.mjs";

const run = promisify(execFile);
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const quiet = process.argv.includes("--quiet");
const force = process.argv.includes("--force");
const abi = process.env.WEIR_ABI ? Number(process.env.WEIR_ABI) : undefined;
if (abi !== undefined && !Number.isInteger(abi)) fail("WEIR_ABI must be an integer");
const ENTRY = "src/cli/main.ts";
// Started by measurements as processes of their own.
const TRAFFIC = "src/bench/traffic/process.ts";
const BPF_DIR = abi === undefined ? "dist/bpf" : `dist/bpf-abi${abi}`;
const BUNDLE_INPUTS = "dist/.bundle-inputs.json";
// A change of these changes every output.
const RECIPE = ["scripts/build.mjs", "scripts/bundle.mjs", "package-lock.json"];

function fail(message) {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
}

function say(message) {
  process.stdout.write(`build: ${message}\n`);
}

// Outputs carry the time at which the build began: a source edited meanwhile is newer.
const begin = new Date();
const DAY_MS = 24 * 3600 * 1000;

/** Replaces a file atomically: a reader sees the old one or the new one. */
function place(path, contents) {
  const scratch = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(scratch, contents);
  finish(scratch, path);
}

function finish(scratch, path) {
  utimesSync(scratch, begin, begin);
  renameSync(scratch, path);
}

const isDirectory = (path) => statSync(path).isDirectory();
const mtime = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs;

/** True if the output is missing or older than one of its inputs, or an input is missing. */
function stale(output, inputs) {
  const built = mtime(output);
  if (force || built === undefined) return true;
  return inputs.some((input) => (mtime(input) ?? Number.POSITIVE_INFINITY) > built);
}

/** Prerequisites in a dependency file as clang -MD writes it. */
function dependencies(file) {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8").replaceAll("\\\n", " ");
  return text
    .slice(text.indexOf(":") + 1)
    .split(/\s+/)
    .filter(Boolean);
}

const entries = (directory) =>
  existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : [];

function bpfSources() {
  const paths = [
    ...entries("bpf"),
    ...entries("bpf/testing"), // programs for tests and measurements
    ...entries("src/functions").flatMap((path) => (isDirectory(path) ? entries(path) : [])),
  ];
  return paths.filter((path) => path.endsWith(".bpf.c")).sort();
}

async function compile(source) {
  const output = join(BPF_DIR, `${basename(source, ".bpf.c")}.bpf.o`);
  const depfile = `${output}.d`;
  const inputs = dependencies(depfile);
  if (inputs && !stale(output, [...inputs, "scripts/build.mjs"])) return undefined;
  const flags = ["--target=bpf", "-std=gnu11", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"];
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const includes = ["-Ibpf", `-I/usr/include/${machine}-linux-gnu`];
  const defines = abi === undefined ? [] : [`-DWEIR_ABI=${abi}`];
  const scratch = `${output}.${process.pid}`;
  try {
    await run("clang", [...flags, ...includes, ...defines, "-MD", "-MF", depfile, "-c", source, "-o", scratch]);
  } catch (error) {
    rmSync(depfile, { force: true });
    throw new Error(`compile ${source}:\n${error.stderr || error.message}`);
  }
  finish(scratch, output);
  return output;
}

/** Runs job over items, at most `limit` at once; returns the results, or throws all errors together. */
async function pool(items, limit, job) {
  const queue = [...items];
  const results = [];
  const errors = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await job(item).then(
        (result) => results.push(result),
        (error) => errors.push(error.message),
      );
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (errors.length > 0) throw new Error(errors.join("\n"));
  return results;
}

async function buildObjects() {
  mkdirSync(BPF_DIR, { recursive: true });
  const sources = bpfSources();
  const wanted = new Set(sources.map((source) => `${basename(source, ".bpf.c")}.bpf.o`));
  if (wanted.size !== sources.length) fail(`two BPF sources share a name: ${sources.join(", ")}`);
  for (const name of readdirSync(BPF_DIR)) {
    if (name.endsWith(".bpf.o") && !wanted.has(name)) rmSync(join(BPF_DIR, name));
  }
  return (await pool(sources, availableParallelism(), compile)).filter(Boolean);
}

async function buildBundle() {
  if (!existsSync(ENTRY)) return [];
  const inputs = existsSync(BUNDLE_INPUTS) ? JSON.parse(readFileSync(BUNDLE_INPUTS, "utf8")) : undefined;
  if (inputs && !stale("dist/weir.js", [...inputs, ...RECIPE])) return [];
  const { build, formatMessages } = await import("esbuild");
  const result = await build({
    ...bundle,
    entryPoints: { weir: ENTRY, ...(existsSync(TRAFFIC) && { traffic: TRAFFIC }) },
    write: false,
  }).catch(async (error) => {
    const lines = await formatMessages(error.errors ?? [{ text: error.message }], { kind: "error", color: false });
    throw new Error(lines.join("\n"));
  });
  // The entry comes last: whoever starts meanwhile finds the chunks that it names.
  const outputs = result.outputFiles.map((file) => [relative(process.cwd(), file.path), file.contents]);
  outputs.sort(([a], [b]) => Number(a === "dist/weir.js") - Number(b === "dist/weir.js"));
  for (const [path, contents] of outputs) place(path, contents);
  place(BUNDLE_INPUTS, JSON.stringify(Object.keys(result.metafile.inputs)));
  prune(new Set(outputs.map(([path]) => path)));
  return ["dist/weir.js"];
}

/** Removes chunks that no bundle of the last day uses; a running agent may still load one lazily. */
function prune(kept) {
  for (const path of entries("dist/chunks")) {
    if (!kept.has(path) && (mtime(path) ?? 0) < begin.getTime() - DAY_MS) rmSync(path, { force: true });
  }
}

const parts = abi === undefined ? [buildObjects(), buildBundle()] : [buildObjects()];
const results = await Promise.allSettled(parts);
const errors = results.filter((result) => result.status === "rejected").map((result) => result.reason.message);
if (errors.length > 0) fail(errors.join("\n"));
const built = results.flatMap((result) => result.value.sort());
const seconds = ((Date.now() - begin.getTime()) / 1000).toFixed(1);
if (built.length > 0) say(`${built.map((path) => basename(path)).join(", ")} in ${seconds} s`);
else if (!quiet) say("nothing to do");
