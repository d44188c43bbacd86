/** Weir's version, as in package.json. */
export const version = "0.1.0";
/** Version of the documents that Weir reads and writes. */
export const apiVersion = "weir.dev/v1alpha1";
