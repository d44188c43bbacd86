import { resolve } from "node:path";
import type { Command } from "commander";
import { setExitCode } from "../exit.ts";
import type { Io } from "../io.ts";
import type { BenchName, Modules } from "../modules.ts";

const benches: readonly [BenchName, string][] = [
  ["all", "Run every measurement."],
  ["limits", "Measure how exactly bandwidth limits hold, beside a tbf qdisc and a plain token bucket."],
  ["matrix", "Measure limits at every rate under every load; hours; goes on where the last run ended."],
  ["live", "Measure how soon an edited annotation holds, and what other pods' flows notice."],
  ["survive", "Kill agents under load and count what is lost."],
  ["forward", "Measure forwarding: throughput beside a Linux bridge, the cost of a hop and of each function."],
  ["footprint", "Measure memory, CPU and start-up times."],
];

export function addBench(program: Command, io: Io, load: Modules["bench"]): void {
  const bench = program
    .command("bench")
    .summary("measure limits, forwarding and footprint")
    .description("Measure, and write figures with their raw samples.");
  for (const [what, description] of benches) {
    bench
      .command(what)
      .description(description)
      .option("--out <dir>", "where results go", "bench-results")
      .option("--quick", "short runs, to see that all works; the figures mean little", false)
      .action(async ({ out, quick }) => {
        const module = await load();
        setExitCode(bench, await module.bench({ what, out: resolve(io.cwd, out), quick }, io));
      });
  }
}
