// Writes deploy/crds/: the custom resources, made of the schemas that read manifests. A test compares them.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { customResources } from "../src/sources/manifests/crds.ts";

const folder = join(import.meta.dirname, "../deploy/crds");
mkdirSync(folder, { recursive: true });
for (const [name, text] of customResources()) writeFileSync(join(folder, name), text);
