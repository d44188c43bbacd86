/** Weir's version; the same as in package.json. */
export const version = "0.1.0";
/** API version of the objects that Weir reads and writes. */
export const apiVersion = "weir.dev/v1alpha1";
