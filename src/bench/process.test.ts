import { expect, test } from "vitest";
import { cpuSeconds, readCpu, readResident, residentBytes } from "./process.ts";

test("a command's name may look like fields", () => {
  const stat = `7 (a) S 1 (b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0`;
  expect(cpuSeconds(stat)).toBe(3);
  expect(residentBytes("VmPeak:\t 9 kB\nVmRSS:\t  2048 kB\n")).toBe(2 << 20);
});

test("this process", () => {
  expect(readCpu(process.pid)).toBeGreaterThan(0);
  expect(readResident(process.pid)).toBeCloseTo(process.memoryUsage.rss(), -8);
});
