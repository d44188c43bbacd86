import { findPackageJSON } from "node:module";

/** Packages for statistics and charts, which an installation of the agent alone does not have. */
const PACKAGES = ["simple-statistics", "vega", "vega-lite", "@resvg/resvg-js"];

/**
 * Checks before a measurement begins that packages are installed.
 * @throws Error that names what is not installed
 */
export function requirePackages(what: string, names: readonly string[] = PACKAGES): void {
  const missing = names.filter((name) => !installed(name));
  if (missing.length === 0) return;
  const are = missing.length === 1 ? "is" : "are";
  throw new Error(`measure ${what}: ${missing.join(", ")} ${are} not installed (npm run setup)`);
}

function installed(name: string): boolean {
  try {
    return findPackageJSON(name, import.meta.url) !== undefined;
  } catch {
    return false;
  }
}
