/** What the command line needs of manifests: it reads them with the schemas of the agent that will judge them. */
export { findKind, readManifestDocuments, specSchemas } from "../sources/manifests/index.ts";
