import { expect, test } from "vitest";
import { cpuSeconds, peakBytes, readCpu, readCpuMs, readPeak, readResident, residentBytes, runNs } from "./process.ts";

test("a command's name may contain spaces and parentheses", () => {
  const stat = `7 (a) S 1 (b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0`;
  expect(cpuSeconds(stat)).toBe(3);
  expect(residentBytes("VmPeak:\t 9 kB\nVmRSS:\t  2048 kB\n")).toBe(2 << 20);
});

test("this process", () => {
  expect(readCpu(process.pid)).toBeGreaterThan(0);
  expect(readResident(process.pid)).toBeCloseTo(process.memoryUsage.rss(), -8);
});

test("CPU time of all threads in ns; a kernel that does not count it is an error", () => {
  expect(runNs("6464051 120 7\n")).toBe(6464051);
  expect(() => runNs("")).toThrow("CONFIG_SCHED_INFO");
  expect(readCpuMs(process.pid)).toBeGreaterThan(1);
});

test("the highest resident memory", () => {
  expect(peakBytes("VmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\n")).toBe(4 << 20);
  const now = readResident(process.pid);
  expect(readPeak(process.pid)).toBeGreaterThanOrEqual(now);
});
