import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";

/** A program in the background that does not outlive this process; what it says is in a file. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #log: string;

  constructor(program: string, args: readonly string[], log: string) {
    this.#log = log;
    const out = openSync(log, "a");
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], { stdio: ["ignore", out, out] });
    this.#child.on("error", () => {}); // seen as ended
    closeSync(out);
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines that it wrote. */
  lastWords(): string {
    return readFileSync(this.#log, "utf8").split("\n").slice(-12).join("\n");
  }

  /** Sends the signal; resolves once it has ended. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }

  /** SIGSTOP and SIGCONT: connections stay, and nobody answers. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
