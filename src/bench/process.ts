import { readFileSync } from "node:fs";

/** Kernel's clock ticks a second in /proc/PID/stat; 100 on every Linux that Node.js runs on. */
const TICKS = 100;

/** CPU time in seconds, user and system, from the text of /proc/PID/stat. */
export function cpuSeconds(stat: string): number {
  // The command's name may hold spaces and parentheses, so fields count from the last one.
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
