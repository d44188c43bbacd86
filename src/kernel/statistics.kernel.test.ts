import { expect, test } from "vitest";
import { Fd } from "./fd.ts";
import { bpf } from "./ffi.ts";
import { Program } from "./program.ts";
import { enableStatistics, runStatistics } from "./statistics.ts";

const SCHED_CLS = 3;
/** `r0 = 0; exit` */
const NOTHING = Buffer.from("b700000000000000" + "9500000000000000", "hex");

test("runs are only counted and timed while statistics are enabled", () => {
  const fd = bpf.bpf_prog_load(SCHED_CLS, "weir_nothing", "GPL", NOTHING, 2, null) as number;
  expect(fd).toBeGreaterThan(0);
  const owner = new Fd("program", fd);
  const program = new Program(owner);
  const data = Buffer.alloc(64);
  const statistics = enableStatistics();
  try {
    expect(runStatistics(program)).toEqual({ runs: 0, nanoseconds: 0 });
    program.testRun({ data, repeat: 1000 });
    const { runs, nanoseconds } = runStatistics(program);
    expect(runs).toBe(1000);
    expect(nanoseconds).toBeGreaterThan(0);
    statistics.close();
    program.testRun({ data, repeat: 1000 });
    expect(runStatistics(program)).toEqual({ runs, nanoseconds });
  } finally {
    statistics.close();
    owner.close();
  }
});
