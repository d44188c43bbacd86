import { isBuiltin } from "node:module";

/**
 * Loads a module of Node.js when something of it is used, and not all that it exports, as an ES module does that imports it:
 * fastify names http2, prom-client cluster, and fs has streams of the web. `require` has no plain object for some.
 */
function lateModule(path) {
  const module = process.getBuiltinModule(path);
  if (Object.getPrototypeOf(module) !== Object.prototype) return `module.exports = require(${JSON.stringify(path)});`;
  const names = Object.keys(module).map((name) => JSON.stringify(name));
  const getters = names.map((name) => `get ${name}() { return load()[${name}]; }`);
  return `let loaded;
const load = () => (loaded ??= require(${JSON.stringify(path)}));
module.exports = { ${getters.join(", ")} };`;
}

/** @type {import("esbuild").Plugin} */
const lateModules = {
  name: "late modules",
  setup(build) {
    build.onResolve({ filter: /^(node:)?[a-z_/\d]+$/ }, ({ path, namespace }) =>
      isBuiltin(path) && namespace !== "late" ? { path: path.replace(/^node:/, ""), namespace: "late" } : undefined,
    );
    build.onLoad({ filter: /./, namespace: "late" }, ({ path }) => ({ contents: lateModule(path) }));
  },
};

/**
 * The esbuild options of the weir command. The result runs on the Node.js version in package-lock.json, so no syntax is
 * lowered. Node.js keeps the text of all modules that it has loaded, at two bytes a letter if one does not fit in one byte, so
 * comments and white space are left out.
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
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "none", // they are where the packages are
  metafile: true,
  logLevel: "silent",
  plugins: [lateModules],
  // CommonJS dependencies of an ESM bundle look for this.
  banner: {
    js: 'const require = process.getBuiltinModule("module").createRequire(import.meta.url);',
  },
  external: [
    "koffi", // a native add-on finds its binary beside itself
    // Parts of fastify that nothing here asks for; what it is given takes the place of the first two.
    ...["@fastify/ajv-compiler", "@fastify/fast-json-stringify-compiler", "light-my-request"],
    // Statistics and charts of measurements: an agent is built and runs without them.
    ...["simple-statistics", "vega", "vega-lite", "@resvg/resvg-js"],
  ],
};
