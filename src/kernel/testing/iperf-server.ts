import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Runs a command in a network namespace. Returns its output. */
export type RunThere = (...command: string[]) => string;

/** A row of /proc/net/tcp: port 5201, state LISTEN. */
const LISTENING = /:1451 [0-9A-F]+:0000 0A /;

/** Starts an iperf3 server for one client. Waits until it listens: the daemon returns before that. */
export async function serveIperf(run: RunThere, pidfile: string): Promise<void> {
  run("iperf3", "-s", "-D", "-1", "--pidfile", pidfile);
  const deadline = Date.now() + 60_000;
  while (!LISTENING.test(run("cat", "/proc/net/tcp", "/proc/net/tcp6"))) {
    if (Date.now() > deadline) throw new Error("start iperf3: it does not listen after 60 s");
    await sleep(20);
  }
}

/** Ends a server without a client. It removes its pid file when it exits. */
export function endIperf(pidfile: string): void {
  if (!existsSync(pidfile)) return;
  const pid = Number.parseInt(readFileSync(pidfile, "latin1"), 10);
  try {
    if (readFileSync(`/proc/${pid}/comm`, "latin1").trim() === "iperf3") process.kill(pid);
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes(String((error as NodeJS.ErrnoException).code))) throw error;
  }
}
