import type { Problem } from "../../model/problem.ts";
import { LabError } from "../errors.ts";
import type { Connect } from "../kube/api.ts";
import { isError, problemLine } from "../objects.ts";
import { Progress, type ProgressOutput } from "../progress.ts";

/** The parts of its process that a lab command uses. */
export interface LabIo {
  stdout: ProgressOutput;
  stderr: ProgressOutput;
  env: Readonly<Record<string, string | undefined>>;
  /** Directory of sockets and labs: `/run/weir`. */
  runDir: string;
  /** Opens the Kubernetes API of a lab that uses one. */
  connect?: Connect | undefined;
  /** Aborted by the first Ctrl+C or SIGTERM. */
  signal: AbortSignal;
}

export function labsRoot(io: LabIo): string {
  return `${io.runDir}/labs`;
}

export function needRoot(what: string): void {
  if (process.geteuid?.() !== 0) throw new LabError("not-root", `${what}: only root can make namespaces (try sudo)`);
}

/** Shows progress on stderr while `task` runs. */
export async function withProgress<T>(io: LabIo, task: (progress: Progress) => Promise<T>): Promise<T> {
  const progress = new Progress(io.stderr);
  try {
    return await task(progress);
  } finally {
    progress.close();
  }
}

/** Writes problems to stderr; returns whether any of them is an error. */
export function tellProblems(io: LabIo, problems: readonly Problem[]): boolean {
  for (const problem of problems) io.stderr.write(`${isError(problem) ? "✖" : "!"} ${problemLine(problem)}\n`);
  return problems.some(isError);
}
