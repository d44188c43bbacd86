import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder } from "../../src/datapath/programs/builder.ts";
import { mountBpffs, unmountBpffs } from "../../src/kernel/index.ts";
import type { Macro } from "../../src/model/program-rules.ts";

const ROOT = join(import.meta.dirname, "../..");
const MACROS: Record<string, readonly Macro[]> = {
  "drop-one-of": [{ name: "N", value: "100" }],
  "mark-dscp": [
    { name: "DSCP", value: "46" },
    { name: "PORT", value: "5060" },
  ],
  "limit-syns": [
    { name: "BURST", value: "10" },
    { name: "RATE", value: "100" },
  ],
};

/** Users' programs that are linked for the test machine, which has no compiler. */
export const linkedNames: readonly string[] = Object.keys(MACROS);

/** Compiles and links the examples. Files by their path in the test machine; `close` removes them. */
export async function linkExamples(): Promise<{ files: Record<string, string>; close(): void }> {
  const scratch = mkdtempSync(join(tmpdir(), "weir-linked-"));
  const maps = join(scratch, "bpf", "maps");
  mountBpffs(join(scratch, "bpf"));
  const close = (): void => {
    unmountBpffs(join(scratch, "bpf"));
    rmSync(scratch, { recursive: true, force: true });
  };
  try {
    mkdirSync(maps);
    const builder = new Builder({ wrapper: join(ROOT, "dist/bpf/custom.bpf.o"), cache: join(scratch, "cache"), maps });
    const files: Record<string, string> = {};
    for (const [name, macros] of Object.entries(MACROS)) {
      const text = readFileSync(join(ROOT, `examples/programs/${name}.c`));
      const source = { file: `${name}.c`, text, direction: "egress" as const, macros };
      const built = await builder.build(source, await builder.name(source));
      if (!built.ok) throw new Error(built.reason);
      files[`weir/programs/${name}.bpf.o`] = built.value;
    }
    return { files, close };
  } catch (error) {
    close();
    throw error;
  }
}
