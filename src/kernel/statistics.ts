import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf } from "./ffi.ts";
import { programInfo } from "./info.ts";
import type { Program } from "./program.ts";

const RUN_TIME = 0;

/** Statistics of a program. A run includes programs that it tail-called. */
export interface RunStatistics {
  runs: number;
  nanoseconds: number;
}

/**
 * Enables the kernel's run statistics of all programs until `close` (Linux 5.8, without a sysctl). They cost some tens
 * of nanoseconds per run. @throws KernelError `statistics-refused`
 */
export function enableStatistics(): { close(): void } {
  const number = check(bpf.bpf_enable_stats(RUN_TIME) as number, "enable run statistics", "statistics-refused");
  return new Fd("run statistics", number);
}

/** A program's totals so far. */
export function runStatistics(program: Program): RunStatistics {
  const { run_cnt, run_time_ns } = programInfo(program.fd);
  return { runs: Number(run_cnt), nanoseconds: Number(run_time_ns) };
}
