import type { Argument, Command, Option } from "commander";
import { kinds } from "../api/kinds.ts";
import { ask, chooseAgents, labNodes, labs } from "./agents.ts";
import { views } from "./columns.ts";
import { topicNames } from "./commands/explain.ts";
import type { Io } from "./io.ts";

/** Stands for the shell's own completion of paths. */
export const FILES = ":files";
/** Timeout of completion, ms. */
const PATIENCE_MS = 1000;

/** Candidates for the last word (of those after `weir`), which may be empty. Never throws. */
export async function complete(program: Command, words: readonly string[], io: Io): Promise<string[]> {
  const partial = words.at(-1) ?? "";
  const line = read(program, words.slice(0, -1));
  const candidates = await candidatesFor(line, partial, io).catch(() => []);
  return candidates.filter((candidate) => candidate === FILES || candidate.startsWith(partial));
}

interface Line {
  command: Command;
  /** Values of flags by long name, e.g. `--lab`. */
  flags: Map<string, string>;
  operands: string[];
  /** The flag whose value is expected next. */
  pending: Option | undefined;
  /** Whether there was a `--`, after which there are no flags. */
  ended: boolean;
}

function read(program: Command, words: readonly string[]): Line {
  const line: Line = { command: program, flags: new Map(), operands: [], pending: undefined, ended: false };
  for (const word of words) step(line, word);
  return line;
}

function step(line: Line, word: string): void {
  if (line.pending) {
    line.flags.set(line.pending.long ?? "", word);
    line.pending = undefined;
    return;
  }
  if (line.ended) return void line.operands.push(word);
  if (word === "--") {
    line.ended = true;
    return;
  }
  if (word.startsWith("-")) {
    const [name = "", value] = word.split("=", 2);
    const option = line.command.options.find(({ long, short }) => name === long || name === short);
    if (!option || option.isBoolean()) return;
    if (value === undefined) line.pending = option;
    else line.flags.set(option.long ?? "", value);
    return;
  }
  const command = subcommands(line.command).find((each) => each.name() === word || each.aliases().includes(word));
  if (command && line.operands.length === 0) line.command = command;
  else line.operands.push(word);
}

function subcommands(command: Command): Command[] {
  return command.createHelp().visibleCommands(command);
}

async function candidatesFor(line: Line, partial: string, io: Io): Promise<string[]> {
  const { command, pending, ended, operands } = line;
  if (pending) return valuesOf(pending, line, io);
  if (!ended && partial.startsWith("-")) {
    const [name = "", value] = partial.split("=", 2);
    const option = command.options.find(({ long }) => long === name);
    if (value !== undefined && option) return (await valuesOf(option, line, io)).map((each) => `${name}=${each}`);
    return command
      .createHelp()
      .visibleOptions(command)
      .flatMap(({ long }) => long ?? []);
  }
  const names = operands.length === 0 ? subcommands(command).map((each) => each.name()) : [];
  if (names.length > 0) return names;
  const { registeredArguments } = command;
  const argument = registeredArguments[operands.length] ?? registeredArguments.at(-1);
  const beyond = operands.length >= registeredArguments.length && !argument?.variadic;
  return argument && !beyond ? argumentValues(argument, line, io) : [];
}

async function valuesOf(option: Option, line: Line, io: Io): Promise<string[]> {
  if (option.argChoices) return [...option.argChoices];
  switch (option.long) {
    case "--lab":
    case "--name":
      return labs(io);
    case "--node":
      return labNodes(io, labOf(line));
    case "--namespace":
      return unique((await pods(line, io)).map(({ namespace }) => namespace));
    case "--file":
    case "--config":
    case "--kubeconfig":
    case "--image":
    case "--manifests":
    case "--socket":
    case "--out":
    case "--state":
    case "--bpffs":
      return [FILES];
    default:
      return [];
  }
}

async function argumentValues(argument: Argument, line: Line, io: Io): Promise<string[]> {
  if (argument.argChoices) return [...argument.argChoices];
  switch (argument.name()) {
    case "kind":
      return kinds.map(({ name }) => name);
    case "topic":
      return topicNames();
    case "name":
      return itemNames(line, io);
    case "pod":
      return inNamespace(line, await pods(line, io), "default").map(({ name }) => name);
    case "command":
      return line.command.name() === "help" || line.operands.length === 0 ? subcommandsOfRoot(line.command) : [FILES];
    default:
      return [];
  }
}

function subcommandsOfRoot(command: Command): string[] {
  return command.parent ? subcommandsOfRoot(command.parent) : subcommands(command).map((each) => each.name());
}

async function itemNames(line: Line, io: Io): Promise<string[]> {
  const word = line.operands[0] ?? "";
  const kind = kinds.find(({ name, aliases }) => name === word || aliases.includes(word))?.name;
  if (kind === undefined || kind === "topology") return [];
  if (kind === "pods") return inNamespace(line, await pods(line, io)).map(({ name }) => name);
  const { values } = await ask(patient(io), await agentsOf(line, io), (client) => client.list(kind));
  return unique(values.flat().map((item) => views[kind].name(item as never)));
}

async function pods(line: Line, io: Io): Promise<{ namespace: string; name: string }[]> {
  const { values } = await ask(patient(io), await agentsOf(line, io), (client) => client.list("pods"));
  return values.flat();
}

function agentsOf(line: Line, io: Io) {
  const socket = line.flags.get("--socket");
  const inLab = line.flags.has("--lab") || line.command.parent?.name() === "lab";
  // messages would disturb the command line that is being edited
  const quiet = { ...patient(io), stderr: { write: () => true } };
  return chooseAgents(quiet, inLab ? { lab: labOf(line) } : { socket });
}

function labOf(line: Line): string {
  return line.flags.get("--lab") ?? line.flags.get("--name") ?? "default";
}

function patient(io: Io): Io {
  return { ...io, signal: AbortSignal.any([io.signal, AbortSignal.timeout(PATIENCE_MS)]) };
}

function inNamespace<T extends { namespace: string }>(line: Line, items: readonly T[], fallback?: string): T[] {
  const wanted = line.flags.get("--namespace") ?? fallback;
  return items.filter(({ namespace }) => wanted === undefined || namespace === wanted);
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
