import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where everything of one node is pinned. */
export const panelRoot = (bpffs: string, node: string): string => join(bpffs, "weir", node);

/** Where users' programs are kept once they are built. */
export const programCache = (state: string): string => join(state, "programs");

/** Folder of the compiled objects: in the build, or as the environment says. Throws where there is none. */
export function objectsDir(env: NodeJS.ProcessEnv): string {
  if (env["WEIR_BPF_DIR"]) return env["WEIR_BPF_DIR"];
  const here = fileURLToPath(new URL(".", import.meta.url)); // dist/chunks/ in the build, src/agent/ in tests
  const places = ["bpf", "../bpf", "../../dist/bpf"].map((place) => join(here, place));
  const found = places.find((place) => existsSync(join(place, "entry.bpf.o")));
  if (!found) throw new Error(`find BPF objects: none in ${places.join(", ")} (run npm run setup)`);
  return found;
}
