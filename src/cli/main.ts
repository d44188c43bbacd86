import { systemIo } from "./io.ts";
import { systemModules } from "./load.ts";
import { run } from "./program.ts";

/**
 * The first signal ends the command gracefully, a second one immediately. The same signal sent twice within a moment, by a
 * wrapper and by the terminal, counts once.
 */
const controller = new AbortController();
const SAME_SIGNAL_MS = 500;
let first = 0;
for (const [name, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129], // the terminal was closed
] as const) {
  process.on(name, () => {
    const now = performance.now();
    if (!controller.signal.aborted) {
      first = now;
      controller.abort();
    } else if (now - first > SAME_SIGNAL_MS) process.exit(code);
  });
}
// a reader that closes the pipe, such as head, is no failure
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), systemIo(controller.signal), systemModules);
