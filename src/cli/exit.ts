import type { Command } from "commander";

/** Exit codes of commands by program, since commander's actions return none. */
const codes = new WeakMap<Command, number>();

export function setExitCode(command: Command, code: unknown): void {
  if (typeof code === "number") codes.set(root(command), code);
}

export function exitCode(command: Command): number {
  return codes.get(root(command)) ?? 0;
}

function root(command: Command): Command {
  return command.parent ? root(command.parent) : command;
}
