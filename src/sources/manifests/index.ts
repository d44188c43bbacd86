export { specSchemas } from "./crds.ts";
export { findKind, type ManifestDocument, type ManifestInput, readManifestDocuments, resourceOf } from "./documents.ts";
export { ManifestError } from "./files.ts";
export { watchFault } from "./folders.ts";
export type { ManifestSnapshot } from "./merge.ts";
export { listItems, parseManifests } from "./parse.ts";
export { type ManifestWatch, readManifests, type Trouble, type WatchOptions, watchManifests } from "./watch.ts";
