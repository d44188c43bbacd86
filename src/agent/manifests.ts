/** The manifest functions that the command line uses: the same schemas as the agent's. */
export { findKind, readManifestDocuments, specSchemas } from "../sources/manifests/index.ts";
