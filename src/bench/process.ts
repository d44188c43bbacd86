import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks per second in /proc/PID/stat; 100 on every Linux that Node.js runs on. */
const TICKS = 100;

/** CPU time in seconds, user and system, from the text of /proc/PID/stat. */
export function cpuSeconds(stat: string): number {
  // The command's name may contain spaces and parentheses, so fields are counted from the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Resident bytes from the text of /proc/PID/status. */
export function residentBytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

export function readCpu(pid: number): number {
  return cpuSeconds(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

export function readResident(pid: number): number {
  return residentBytes(readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** Highest resident bytes since the process's start, from the text of /proc/PID/status. */
export function peakBytes(status: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** ns of CPU time from the text of /proc/PID/task/TID/schedstat. */
export function runNs(schedstat: string): number {
  const ns = Number(schedstat.split(" ", 1)[0]);
  if (schedstat === "" || !Number.isFinite(ns))
    throw new Error("read CPU time: schedstat has none (CONFIG_SCHED_INFO)");
  return ns;
}

/**
 * CPU time of a process's threads in ms, user and system, with nanosecond resolution while it sleeps; /proc/PID/stat has
 * ticks of 10 ms. Excludes threads that have ended.
 */
export function readCpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + runNs(readThread(pid, thread)), 0) / 1e6;
}

/** Returns an empty text if the thread has ended since it was listed. */
function readThread(pid: number, thread: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
  } catch {
    return "0";
  }
}

export function readPeak(pid: number): number {
  return peakBytes(readFileSync(`/proc/${pid}/status`, "utf8"));
}
