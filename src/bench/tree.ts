import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** Path of a file in the source tree of the running build, e.g. `bin/weir`. */
export function ofTree(path: string): string {
  return join(dirname(realpathSync(process.argv[1] ?? "")), "..", path);
}
