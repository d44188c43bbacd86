// Writes deploy/crds/: the custom resources, made of the schemas that read manifests. A test compares them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
mkdirSync("dist", { recursive: true });
const scratch = mkdtempSync("dist/generate-");
try {
  const outfile = join(scratch, "crds.mjs");
  await build({
    entryPoints: ["src/sources/manifests/crds.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile,
  });
  const { customResources } = await import(pathToFileURL(outfile));
  mkdirSync("deploy/crds", { recursive: true });
  for (const [name, text] of customResources()) writeFileSync(join("deploy/crds", name), text);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
