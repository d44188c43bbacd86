import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type CpuProfile, costsIn, profiled } from "./profile.ts";

const frame = (functionName: string, url = "file:///dist/weir.js") => ({ functionName, url, lineNumber: 9 });
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame("(root)", ""), children: [2, 4] },
    { id: 2, callFrame: frame("pass"), children: [3] },
    { id: 3, callFrame: frame("plan") },
    { id: 4, callFrame: frame("(idle)", "") },
  ],
  startTime: 1_000_000,
  samples: [2, 3, 4, 3, 2],
  timeDeltas: [1000, 2000, 50_000, 4000, 1000],
};

test("samples count for the span of their time and for all callers; idle samples count for none", () => {
  const costs = costsIn(PROFILE, { from: 1000, to: 1057.5 });
  expect(costs).toEqual([
    { name: "plan weir.js:10", self: 6, total: 6 },
    { name: "pass weir.js:10", self: 1, total: 7 },
  ]);
  expect(costsIn(PROFILE, { from: 1002, to: 1004 })).toEqual([
    { name: "plan weir.js:10", self: 2, total: 2 },
    { name: "pass weir.js:10", self: 0, total: 2 },
  ]);
});

test("an agent is started with the profiler by its own launcher, with any folder of results", () => {
  const out = mkdtempSync(join(tmpdir(), "weir 'profile' "));
  try {
    const [file = "", ...args] = profiled([process.execPath, "-p", "process.listenerCount('SIGUSR2')"], out);
    expect(execFileSync(file, args, { encoding: "utf8" })).toBe("1\n");
  } finally {
    rmSync(out, { recursive: true });
  }
});
