import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of a node's pins. */
export const panelRoot = (bpffs: string, node: string): string => join(bpffs, "weir", node);

/** The folder of built users' programs. */
export const programCache = (state: string): string => join(state, "programs");

/** The folder of compiled objects: in the build, or from the environment. @throws Error if there is none */
export function objectsDir(env: NodeJS.ProcessEnv): string {
  if (env["WEIR_BPF_DIR"]) return env["WEIR_BPF_DIR"];
  const here = fileURLToPath(new URL(".", import.meta.url)); // dist/chunks/ in the build, src/agent/ in tests
  const places = ["bpf", "../bpf", "../../dist/bpf"].map((place) => join(here, place));
  const found = places.find((place) => existsSync(join(place, "entry.bpf.o")));
  if (!found) throw new Error(`find BPF objects: none in ${places.join(", ")} (run npm run setup)`);
  return found;
}
