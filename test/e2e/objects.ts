import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../src/bench/weir.ts";
import { REPOSITORY, testEnvironment } from "./lab.ts";

/** BPF objects in a folder that agents load them from, and other builds to replace them. */
export interface Objects {
  folder: string;
  /** Replaces the objects by another build, which the next agent loads. */
  install(build: string): void;
  close(): void;
}

/** A statement without effect in a function that every packet passes: the programs differ, their behaviour does not. */
const PASSED = "struct weir_hop *hop = weir_hop_row(id, state);";
const NOTHING = `${PASSED}\n\n\tasm volatile("r0 = 7" ::: "r0");`;

/** Swaps two fields of a limit's counters; the struct keeps its size. */
function reorder(path: string): void {
  const [packets, bytes] = ["\t__u64 packets; /* sent on */\n", "\t__u64 bytes;\n"];
  const source = readFileSync(path, "utf8");
  if (!source.includes(packets + bytes))
    throw new Error(`change ${path}: no fields packets and bytes of what was sent`);
  writeFileSync(path, source.replace(packets + bytes, bytes + packets));
}

/**
 * Builds the BPF sources of the tree twice more, in another folder: `rebuilt` with other instructions and the same ABI,
 * `abi3` with another ABI and another order of counters.
 */
export async function buildObjects(): Promise<Objects> {
  const scratch = mkdtempSync(join(tmpdir(), "weir-objects-"));
  const folder = join(scratch, "installed");
  mkdirSync(folder);
  for (const path of ["bpf", "src/functions", "scripts", "package-lock.json"]) {
    cpSync(join(REPOSITORY, path), join(scratch, "tree", path), { recursive: true });
  }
  const panel = join(scratch, "tree/bpf/panel.h");
  const source = readFileSync(panel, "utf8");
  if (!source.includes(PASSED)) throw new Error(`change ${panel}: no line ${JSON.stringify(PASSED)}`);
  writeFileSync(panel, source.replace(PASSED, NOTHING));
  const build = [process.execPath, join(scratch, "tree/scripts/build.mjs"), "--quiet"];
  await run(build, { env: testEnvironment(), timeout: 120_000 });
  reorder(join(scratch, "tree/src/functions/limit/tables.h"));
  await run(build, { env: testEnvironment({ WEIR_ABI: "3" }), timeout: 120_000 });
  const builds: Record<string, string> = {
    original: join(REPOSITORY, "dist/bpf"),
    rebuilt: join(scratch, "tree/dist/bpf"),
    abi3: join(scratch, "tree/dist/bpf-abi3"),
  };
  const install = (name: string): void => {
    const from = builds[name];
    if (from === undefined) throw new Error(`install objects: no build ${name}`);
    for (const file of readdirSync(from).filter((one) => one.endsWith(".bpf.o"))) {
      cpSync(join(from, file), join(scratch, file));
      renameSync(join(scratch, file), join(folder, file));
    }
  };
  install("original");
  return { folder, install, close: () => rmSync(scratch, { recursive: true, force: true }) };
}
