import { systemIo } from "./io.ts";
import { systemModules } from "./load.ts";
import { run } from "./program.ts";

/** The first signal ends the command in good order, a second one at once. */
const controller = new AbortController();
for (const [name, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) process.exit(code);
    controller.abort();
  });
}
// a reader such as head that has seen enough is no failure
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), systemIo(controller.signal), systemModules);
