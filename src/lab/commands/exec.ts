import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { joinCgroup } from "../cgroups.ts";
import { LabClient, type Target } from "../client.ts";
import { LabError, messageOf } from "../errors.ts";
import { DEFAULT_PATH } from "../launch.ts";
import { labNames } from "../names.ts";
import { readRecord } from "../record.ts";
import { programPath } from "../run.ts";
import { type LabIo, labsRoot, needRoot } from "./io.ts";

export interface ExecOptions {
  name: string;
  namespace: string;
  pod: string;
  container?: string | undefined;
  command: readonly string[];
}

/** Signals that a terminal's keys send to all processes in the foreground. */
const KEYBOARD = "INT,QUIT";

/**
 * Argument vector that runs a command in a container's namespaces, root and working directory. nsenter remains the
 * command's parent. On a terminal Ctrl+C would end nsenter, while a command that handles Ctrl+C (an interpreter) would
 * go on without it; so nsenter ignores these signals, and the command gets their default handling back.
 */
export function execArgv(target: Target, command: readonly string[], terminal: boolean): string[] {
  const enter = [programPath("nsenter"), "-t", String(target.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"];
  // env would treat a command with "=" as a variable, and an image may lack env.
  if (!terminal || target.ownRoot || command[0]?.includes("=") === true) return [...enter, ...command];
  return [
    programPath("env"),
    `--ignore-signal=${KEYBOARD}`,
    ...enter,
    "/usr/bin/env",
    `--default-signal=${KEYBOARD}`,
    ...command,
  ];
}

/**
 * Runs a command in a pod with this process's stdio, a terminal included. Returns its exit code; 128 + n if signal n
 * ended it. This process moves into the pod's cgroup, so that the command's sockets belong to the pod.
 */
export async function exec(options: ExecOptions, io: LabIo): Promise<number> {
  const { namespace, pod, container, command } = options;
  needRoot(`enter pod ${namespace}/${pod}`);
  const names = labNames(options.name, labsRoot(io));
  readRecord(names);
  const target = await new LabClient(names).target(namespace, pod, container);
  joinCgroup(target.cgroup, process.pid);
  const [file = "", ...args] = execArgv(target, command, process.stdin.isTTY === true);
  const terminal = io.env.TERM === undefined ? {} : { TERM: io.env.TERM };
  const env = { PATH: DEFAULT_PATH, HOSTNAME: pod, HOME: "/root", ...terminal, ...target.env };
  if (io.signal.aborted) return 128 + constants.signals.SIGTERM;
  const child = spawn(file, args, { stdio: "inherit", env });
  const release = passSignals(child);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", (cause) =>
        reject(new LabError("exec", `run nsenter: ${messageOf(cause)} (install util-linux)`, { cause })),
      );
      child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    release();
  }
}

/**
 * The command is a child of nsenter, which forwards no signals. A terminal sends Ctrl+C to all of them, so this process
 * only has to survive it; other signals are forwarded.
 */
function passSignals(child: ChildProcess): () => void {
  const signals = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
  const fromTerminal = process.stdin.isTTY === true;
  const handlers = signals.map((name) => {
    const before = process.listeners(name);
    const keyboard = fromTerminal && (name === "SIGINT" || name === "SIGQUIT");
    const own = (): void => {
      if (!keyboard) signalCommand(child.pid, name);
    };
    // The new listener is added first: without any listener a signal would be lost.
    process.on(name, own);
    for (const listener of before) process.off(name, listener as NodeJS.SignalsListener);
    return { name, before, own };
  });
  return () => {
    for (const { name, before, own } of handlers) {
      for (const listener of before) process.on(name, listener as NodeJS.SignalsListener);
      process.off(name, own);
    }
  };
}

function signalCommand(nsenter: number | undefined, signal: NodeJS.Signals): void {
  if (nsenter === undefined) return;
  const below = childrenOf(nsenter);
  for (const pid of below.length > 0 ? below : [nsenter]) {
    try {
      process.kill(pid, signal);
    } catch {} // The process has ended.
  }
}

function childrenOf(parent: number): number[] {
  try {
    return readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => parentOf(pid) === parent);
  }
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}
