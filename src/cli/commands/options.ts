import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { decodeText } from "../../model/encoding.ts";
import { parseDuration } from "../../model/units.ts";
import type { AgentFlags } from "../agents.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";

/** Flags that several commands share. */

export function withAgents(command: Command): Command {
  return command
    .option("--lab <lab>", "ask all agents of this lab")
    .option("--socket <path>", "ask the agent at this unix socket (default: /run/weir/agent.sock)")
    .option("--node <node>", "only this node");
}

export type { AgentFlags };

export function output(...choices: string[]): Option {
  return new Option("-o, --output <format>", "output format").choices(choices).default(choices[0]);
}

/** Bounds of a duration, as text. */
export interface Span {
  least: string;
  most: string;
  /** Shown if the value is invalid. */
  example: string;
}

/** Parses a flag's duration, written as in manifests, to ms. */
export function duration({ least, most, example }: Span): (text: string) => number {
  const ms = (text: string): number => {
    const result = parseDuration(text, example);
    if (result.ok) return result.value / 1e6;
    throw new InvalidArgumentError(result.reason);
  };
  return (text) => {
    const value = ms(text);
    if (value >= ms(least) && value <= ms(most)) return value;
    throw new InvalidArgumentError(`Write a duration of ${least} to ${most}, for example ${example}.`);
  };
}

/** Collects paths of a flag that may be given several times. Refuses an empty path, which comes from an unset variable. */
export function collect(text: string, previous: readonly string[] = []): string[] {
  if (text === "") throw new InvalidArgumentError("Write a path.");
  return [...previous, text];
}

/** Description of `-f` where manifests are read once. */
export const FILES = "manifest file or folder, - for standard input; may be given several times";

/** Paths of `-f`, absolute, and the text of standard input if `-` is among them. */
export async function given(
  io: Io,
  { file = [] }: { file?: readonly string[] | undefined },
): Promise<{ files: string[]; text?: string }> {
  const files = file.filter((path) => path !== "-").map((path) => resolve(io.cwd, path));
  if (!file.includes("-")) return { files };
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
  const text = decodeText(Buffer.concat(chunks));
  if (!text.ok) throw new Failure(`read standard input: ${text.reason}`);
  return { files, text: text.value };
}
