import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createCgroup, joinCgroup } from "./cgroups.ts";
import { LabError } from "./errors.ts";
import { type LabNames, type NodeNames, netnsPath } from "./names.ts";

/** The program and the capabilities of an agent; paths depend on the node. */
export interface AgentProgram {
  /** Program and first arguments, e.g. `[node, dist/weir.js]`. */
  command: readonly string[];
  /** The capabilities that it keeps, as setpriv names them (`net_admin`). */
  capabilities: readonly string[];
}

/**
 * Argument vector of a node's agent: in the node's network namespace, with its bounding set reduced to `capabilities`.
 */
export function agentArgv(program: AgentProgram, lab: LabNames, node: NodeNames): string[] {
  const keep = program.capabilities.map((name) => `,+${name}`).join("");
  return [
    ...["nsenter", `--net=${netnsPath(node.netns)}`, "--"],
    ...["setpriv", `--bounding-set=-all${keep}`, "--inh-caps=-all", "--"],
    ...program.command,
    ...["agent", "--node", node.name, "--socket", node.socket, "--manifests", lab.cluster],
    ...["--state", node.state, "--bpffs", lab.bpf, "--config", node.config, "--keep"],
  ];
}

/** Delay before the nth restart in a row (counted from 0), ms: none at first, then doubling up to 5 s. */
export function restartDelay(failures: number): number {
  return failures === 0 ? 0 : Math.min(100 * 2 ** (failures - 1), 5000);
}

/** After a run of this length, ms, an exit is not a repeated failure: the next restart is immediate again. */
const SETTLED_AFTER = 5000;

export interface AgentProcessOptions {
  argv: readonly string[];
  log: string;
  cgroup: string;
  env: NodeJS.ProcessEnv;
  onChange?: (() => void) | undefined;
}

/** Keeps one agent running until `stop`. */
export class AgentProcess {
  readonly #options: AgentProcessOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failures = 0;
  #starts = 0;
  #lastExit: string | undefined;

  constructor(options: AgentProcessOptions) {
    this.#options = options;
    createCgroup(options.cgroup);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** How the previous process ended, e.g. `SIGKILL` or `exit code 1`. */
  get lastExit(): string | undefined {
    return this.#lastExit;
  }

  start(): void {
    const { argv, log, cgroup, env } = this.#options;
    const [file, ...args] = argv;
    if (file === undefined) throw new LabError("agent", "start agent: empty command");
    const fd = openSync(log, "a", 0o600);
    const child = spawn(file, args, { stdio: ["ignore", fd, fd], env, cwd: "/" });
    closeSync(fd);
    const startedAt = Date.now();
    this.#child = child;
    this.#starts++;
    if (child.pid !== undefined) joinCgroup(cgroup, child.pid);
    child.once("error", (error) => this.#ended(child, startedAt, error.message));
    child.once("exit", (code, signal) => this.#ended(child, startedAt, signal ?? `exit code ${code}`));
    this.#options.onChange?.();
  }

  #ended(child: ChildProcess, startedAt: number, how: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#lastExit = how;
    if (this.#stopped) return;
    if (Date.now() - startedAt > SETTLED_AFTER) this.#failures = 0;
    this.#timer = setTimeout(() => this.start(), restartDelay(this.#failures++));
    this.#options.onChange?.();
  }

  /** Ends the agent for good: SIGTERM, then SIGKILL after `patience` ms. */
  async stop(patience = 3000): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), patience);
    await gone;
    clearTimeout(timer);
  }
}
