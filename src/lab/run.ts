import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { LabError, messageOf } from "./errors.ts";

/**
 * Finds a program on this machine, for a start with a container's variables, whose PATH is the container's. Returns the
 * bare name if it is not found, so that the start reports it.
 */
export function programPath(name: string, path: string = process.env["PATH"] ?? ""): string {
  const places = path.split(delimiter).map((folder) => join(folder, name));
  return places.find((place) => isAbsolute(place) && existsSync(place)) ?? name;
}

export interface RunOptions {
  /** Written to the program's stdin. */
  input?: string | undefined;
  /** Milliseconds; 20 s by default. */
  timeout?: number | undefined;
  /** `runSync`: a failure is ignored if every line of stderr matches. */
  tolerate?: RegExp | undefined;
}

function failure(file: string, args: readonly string[], reason: string, stderr: string): LabError {
  const said = stderr.trim().split("\n").slice(0, 3).join("; ");
  const command = [file, ...args].join(" ").slice(0, 200);
  return new LabError("command-failed", `run ${command}: ${reason}${said === "" ? "" : `: ${said}`}`);
}

/**
 * Runs a program by argument vector, without a shell, and returns its stdout. Throws LabError `command-failed` with its
 * stderr.
 */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      [...args],
      { timeout: options.timeout ?? 20_000, killSignal: "SIGKILL", maxBuffer: 64 << 20 },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        const reason = typeof error.code === "number" ? `exit code ${error.code}` : messageOf(error);
        reject(failure(file, args, reason, stderr));
      },
    );
    child.stdin?.on("error", () => {}); // A program that ends before it has read everything reports that by its exit code.
    child.stdin?.end(options.input ?? "");
  });
}

/** The blocking form of `run`: for the few steps that must not interleave with another's. */
export function runSync(file: string, args: readonly string[], options: RunOptions = {}): string {
  const result = spawnSync(file, [...args], {
    input: options.input ?? "",
    timeout: options.timeout ?? 20_000,
    encoding: "utf8",
    killSignal: "SIGKILL",
  });
  if (result.error !== undefined) throw failure(file, args, messageOf(result.error), "");
  const complaints = result.stderr.trim().split("\n");
  const tolerated = options.tolerate !== undefined && complaints.every((line) => options.tolerate?.test(line) === true);
  if (result.status !== 0 && !tolerated) {
    throw failure(file, args, result.signal ?? `exit code ${result.status}`, result.stderr);
  }
  return result.stdout;
}

/**
 * Feeds lines to one `ip -batch -`, in network namespace `netns` if given. With `force`, a failed line does not stop
 * the batch.
 */
export async function ipBatch(
  lines: readonly string[],
  options: { netns?: string; force?: boolean } = {},
): Promise<void> {
  if (lines.length === 0) return;
  const args = options.netns === undefined ? [] : ["-n", options.netns];
  if (options.force === true) args.push("-force");
  await run("ip", [...args, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}
