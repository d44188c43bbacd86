import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";

/** A background process that ends with this one at the latest; its output goes to a file. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #log: string;

  constructor(program: string, args: readonly string[], log: string) {
    this.#log = log;
    const out = openSync(log, "a");
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], { stdio: ["ignore", out, out] });
    this.#child.on("error", () => {}); // Reported as an ended process.
    closeSync(out);
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines of its output. */
  lastWords(): string {
    return readFileSync(this.#log, "utf8").split("\n").slice(-12).join("\n");
  }

  /** Sends the signal; resolves when the process has ended. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    await ended;
  }

  /** SIGSTOP and SIGCONT: connections stay open without answers. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
