import { Argument, type Command } from "commander";
import { complete } from "../complete.ts";
import type { Io } from "../io.ts";
import { scripts } from "../shells.ts";

export function addCompletion(program: Command, io: Io): void {
  program
    .command("completion")
    .summary("print a shell's completion script")
    .description("Print a completion script, e.g.: source <(weir completion bash)")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(scripts)))
    .action((shell: keyof typeof scripts) => void io.stdout.write(scripts[shell]));
  // called by the scripts with the words so far, the last one incomplete
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: string[]) => {
      for (const candidate of await complete(program, words, io)) io.stdout.write(`${candidate}\n`);
    });
}
