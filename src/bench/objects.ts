import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BenchContext } from "./context.ts";

/** The folder with the BPF objects of the command under test. */
export function objectsFolder({ weir, env }: Pick<BenchContext, "weir" | "env">): string {
  const own = env["WEIR_BPF_DIR"];
  if (own) return own;
  const main = realpathSync(weir.at(-1) ?? "");
  const found = [join(dirname(main), "bpf"), join(dirname(main), "../dist/bpf")].find((path) => existsSync(path));
  if (!found) throw new Error(`find BPF objects of ${main}: no folder bpf beside it (npm run build)`);
  return found;
}
