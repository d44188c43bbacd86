import { resolve } from "node:path";
import type { Command } from "commander";
import type { Io } from "../io.ts";
import type { Modules } from "../modules.ts";

interface Flags {
  bpffs: string;
  state: string;
  socket: string;
  plan: boolean;
}

export function addUninstall(program: Command, io: Io, load: Modules["uninstall"]): void {
  program
    .command("uninstall")
    .summary("remove all that Weir left on this machine")
    .description(
      "Remove all that agents left on this machine: programs, maps, links, devices, routes, state, applied objects, socket.",
    )
    .option("--bpffs <dir>", "BPF file system", "/sys/fs/bpf")
    .option("--state <dir>", "folder of the agent's state", "/var/lib/weir")
    .option("--socket <path>", "the agent's socket", "/run/weir/agent.sock")
    .option("--plan", "only show what would be removed", false)
    .action(async ({ bpffs, state, socket, plan }: Flags) => {
      const { uninstall } = await load();
      const path = (text: string): string => resolve(io.cwd, text);
      const options = { bpffs: path(bpffs), state: path(state), socket: path(socket), plan };
      const removed = await uninstall(options, { signal: io.signal });
      for (const name of removed) io.stdout.write(`${plan ? "would remove" : "removed"} ${name}\n`);
      if (removed.length === 0) io.stderr.write("nothing to remove\n");
    });
}
