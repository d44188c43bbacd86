import { Command, CommanderError } from "commander";
import { version } from "../model/version.ts";
import { addAgent } from "./commands/agent.ts";
import { addApply, addDelete, addDiff } from "./commands/apply.ts";
import { addBench } from "./commands/bench.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExplain } from "./commands/explain.ts";
import { addGet } from "./commands/get.ts";
import { addImpair } from "./commands/impair.ts";
import { addLab } from "./commands/lab.ts";
import { addStatus } from "./commands/status.ts";
import { addUninstall } from "./commands/uninstall.ts";
import { addVerify } from "./commands/verify.ts";
import { describe, Failure, UsageError } from "./errors.ts";
import { exitCode } from "./exit.ts";
import { printable } from "./format.ts";
import type { Io } from "./io.ts";
import type { Modules } from "./modules.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;
/** Exit code after SIGINT, as in shells. */
const INTERRUPTED = 130;

/** The `weir` command, without commands whose module is missing. */
export function buildProgram(io: Io, modules: Partial<Modules>): Command {
  const program = new Command("weir")
    .description("Weir: network functions for pods, limited and measured.")
    .version(`weir ${version}`, "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
    });
  addStatus(program, io);
  addGet(program, io, modules);
  const { manifests, lab, kubernetes = withoutKubernetes } = modules;
  if (manifests && lab) {
    addApply(program, io, { manifests, lab, kubernetes });
    addDiff(program, io, { manifests, lab, kubernetes });
    addDelete(program, io, { manifests, lab, kubernetes });
  }
  addImpair(program, io, modules);
  addVerify(program, io);
  addExplain(program, io, modules);
  addDoctor(program, io, modules);
  if (modules.lab && modules.capabilities) addLab(program, io, modules.lab, modules.capabilities);
  if (modules.bench) addBench(program, io, modules.bench);
  if (modules.agent) addAgent(program, io, modules.agent);
  if (modules.uninstall) addUninstall(program, io, modules.uninstall);
  addCompletion(program, io);
  program
    .command("version")
    .summary("show the version")
    .description("Show the version.")
    .action(() => void io.stdout.write(`weir ${version}\n`));
  return program;
}

/** Runs one command line (without the program's name). Returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted, or the command's own. */
export async function run(argv: readonly string[], io: Io, modules: Partial<Modules>): Promise<number> {
  const program = buildProgram(io, modules);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode(program);
  } catch (error) {
    return report(error, io);
  }
}

function report(error: unknown, io: Io): number {
  // commander has written its own message; help and version end with 0
  if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE;
  if (io.signal.aborted && isAbort(error)) return INTERRUPTED;
  const lines = describe(error).split("\n");
  io.stderr.write(lines.map((line) => `weir: ${printable(line)}\n`).join(""));
  if (error instanceof UsageError || (error as { code?: unknown }).code === "bad-usage") return USAGE;
  if (io.env["WEIR_DEBUG"] && error instanceof Error && !(error instanceof Failure))
    io.stderr.write(`${error.stack}\n`);
  return FAILED;
}

/** Whether an error is due to Ctrl+C, and need not be reported. */
function isAbort(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  return name === "AbortError" || code === "ABORT_ERR" || error instanceof Failure;
}

const withoutKubernetes = (): Promise<never> =>
  Promise.reject(new Error("this build has no client of a Kubernetes API"));
