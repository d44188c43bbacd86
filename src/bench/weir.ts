import { type ChildProcess, execFile, spawn } from "node:child_process";

/** Result of a program. `code` is null if a signal ended it. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string | undefined;
  /** Milliseconds until SIGKILL; default: 60,000. */
  timeout?: number | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
}

/** A program failed. The message has its command, exit code and the first lines of its stderr. */
export class CommandError extends Error {
  readonly code = "command-failed";
  readonly ended: Ended;
  constructor(command: readonly string[], ended: Ended) {
    const said = ended.stderr.trim().split("\n").slice(0, 6).join("\n  ");
    super(`run ${command.join(" ").slice(0, 200)}: exit code ${ended.code}${said === "" ? "" : `\n  ${said}`}`);
    this.name = "CommandError";
    this.ended = ended;
  }
}

/** Runs a program by argument vector and returns its result, with any exit code. */
export function attempt(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [file = "", ...args] = command;
  const { timeout = 180_000, env, signal } = options;
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout, env, signal, killSignal: "SIGKILL", maxBuffer: 256 << 20 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
        resolve({ code, stdout, stderr: code === null ? `${stderr}\n${error?.message ?? ""}` : stderr });
      },
    );
    child.stdin?.on("error", () => {}); // a program that ends before it has read everything reports that by its exit code
    child.stdin?.end(options.input ?? "");
  });
}

/** Like `attempt`, but throws CommandError unless the exit code is 0. Returns stdout. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const ended = await attempt(command, options);
  if (ended.code !== 0) throw new CommandError(command, ended);
  return ended.stdout;
}

/** A running program. `ended` resolves when it ends; `stop` sends SIGTERM and waits. */
export interface Beside {
  child: ChildProcess;
  ended: Promise<Ended>;
  stop(): Promise<Ended>;
}

/** Programs started by `start` that have not ended. */
const running = new Set<ChildProcess>();

/** Kills all programs that are still running, so that a failed measurement leaves no traffic behind. */
export function killStarted(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Starts a program without waiting for its end. @param onLine receives each line of its stdout */
export function start(
  command: readonly string[],
  options: RunOptions & { onLine?: (line: string) => void } = {},
): Beside {
  const [file = "", ...args] = command;
  const { env, signal } = options;
  const child = spawn(file, args, { env, signal, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.on("close", () => running.delete(child)).on("error", () => running.delete(child));
  let stdout = "";
  let stderr = "";
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) options.onLine?.(line);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("error", (error) => resolve({ code: null, stdout, stderr: `${stderr}${error.message}` }));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const stop = (): Promise<Ended> => {
    child.kill("SIGTERM");
    return ended;
  };
  return { child, ended, stop };
}
