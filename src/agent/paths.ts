import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where everything of one node is pinned. */
export const panelRoot = (bpffs: string, node: string): string => join(bpffs, "weir", node);

/** Folder of the compiled objects: beside the bundle, or as the environment says. */
export function objectsDir(env: NodeJS.ProcessEnv): string {
  if (env["WEIR_BPF_DIR"]) return env["WEIR_BPF_DIR"];
  const here = fileURLToPath(new URL(".", import.meta.url)); // dist/ in the bundle, src/agent/ in the tests
  return /\/src\/agent\/$/.test(here) ? join(here, "../../dist/bpf") : join(here, "bpf");
}
