import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { version } from "../model/version.ts";
import { attempt } from "./weir.ts";

/** The machine and software of a measurement. */
export interface Machine {
  time: string;
  weir: string;
  kernel: string;
  arch: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  /** Load average over 1 minute at the start of the measurement: shows other work on the machine. */
  load: number;
  node: string;
  iperf3: string;
  distribution: string;
  congestion: string;
}

export async function machine(): Promise<Machine> {
  const iperf3 = await attempt(["iperf3", "--version"]);
  return {
    time: new Date().toISOString(),
    weir: version,
    kernel: release(),
    arch: arch(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    load: loadavg()[0] ?? 0,
    node: process.versions.node,
    iperf3: iperf3.stdout.split("\n")[0] ?? "",
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(read("/etc/os-release"))?.[1] ?? "unknown",
    congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim(),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
