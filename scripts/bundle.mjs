/**
 * The esbuild options of the weir command. The result runs on the Node.js version in package-lock.json, so no syntax is
 * lowered.
 * @type {import("esbuild").BuildOptions}
 */
export const bundle = {
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  chunkNames: "chunks/[name]-[hash]",
  sourcemap: "linked",
  metafile: true,
  logLevel: "silent",
  // CommonJS dependencies of an ESM bundle look for this.
  banner: {
    js: 'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);',
  },
  alias: { "node:http": "./scripts/http.cjs" },
  external: [
    "koffi", // a native add-on finds its binary beside itself
    // Statistics and charts of measurements: an agent is built and runs without them.
    ...["simple-statistics", "vega", "vega-lite", "@resvg/resvg-js"],
  ],
};
