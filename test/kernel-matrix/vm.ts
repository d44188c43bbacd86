/**
 * Runs a command in a virtual machine with Debian's 6.1 kernel, without KVM: about four seconds plus the command's
 * time.
 */
import { spawn } from "node:child_process";
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Entry, writeArchive } from "./cpio.ts";
import { prepareImage, tree, withParents } from "./image.ts";

export interface VmOptions {
  /** Path in the machine → file or directory of this machine. */
  files: Readonly<Record<string, string>>;
  /** Argument vector, run as root in `/weir`. Its output and exit code are returned. */
  command: readonly string[];
  /** Kernel modules to load first, e.g. `sch_netem`. */
  modules?: readonly string[];
  memoryMb?: number;
  /** The machine is stopped after this time. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Directory where kernels and root file systems are kept between runs. */
  cache?: string;
}

export interface VmResult {
  /** undefined: the machine ended before the command did; see `console`. */
  exitCode: number | undefined;
  /** Output of the command, stdout and stderr. */
  output: string;
  /** The kernel's messages. */
  console: string;
}

/** The exit code that init wrote to the console. Kernel messages may share its line. */
export function exitCodeOf(console: string): number | undefined {
  const code = /weir-vm-exit (\d+)/.exec(console)?.[1];
  return code === undefined ? undefined : Number(code);
}

/** Boots the machine, runs the command, powers off. Throws if the machine cannot be started. */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  const image = await prepareImage(options.cache ?? process.env.WEIR_CACHE ?? "/var/cache/weir");
  const scratch = mkdtempSync(join(tmpdir(), "weir-vm-"));
  try {
    const initrd = join(scratch, "initrd");
    await pipeline(createReadStream(image.root), createWriteStream(initrd));
    const own = createWriteStream(initrd, { flags: "a" });
    await writeArchive(own, runEntries(options));
    await new Promise((resolve) => own.end(resolve));
    const output = await boot(image.kernel, initrd, join(scratch, "console"), options);
    const text = readFileSync(join(scratch, "console"), "utf8");
    return { exitCode: exitCodeOf(text), output, console: text };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function runEntries({ files, command, modules = [] }: VmOptions): Entry[] {
  return withParents([
    ...Object.entries(files).flatMap(([path, source]) => tree(source, path)),
    { kind: "file", path: "init", source: join(import.meta.dirname, "init.sh") },
    { kind: "symlink", path: "weir/node_modules/.bin/node", target: "/usr/bin/node" }, // The Node.js of this machine.
    { kind: "text", path: "weir/modules", text: modules.map((name) => `${name}\n`).join("") },
    { kind: "text", path: "weir/command", text: `exec ${command.map(quote).join(" ")}\n` },
  ]);
}

/** Quotes any text as one word for the machine's shell. */
function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Resolves to what the machine wrote on its second serial line. */
async function boot(kernel: string, initrd: string, console: string, options: VmOptions): Promise<string> {
  const { memoryMb = 2048, timeoutMs = 120_000 } = options;
  const args = [
    [
      "-accel",
      "tcg,thread=multi,tb-size=1024",
      "-cpu",
      "Nehalem",
      "-smp",
      "2",
      "-m",
      String(memoryMb),
      "-nic",
      "none",
      "-no-reboot",
    ],
    ["-display", "none", "-monitor", "none", "-kernel", kernel, "-initrd", initrd],
    ["-append", "console=ttyS0 quiet panic=-1", "-serial", `file:${console}`, "-serial", "stdio"],
  ].flat();
  const signals = [AbortSignal.timeout(timeoutMs), ...(options.signal ? [options.signal] : [])];
  const child = spawn("qemu-system-x86_64", args, {
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.any(signals),
    killSignal: "SIGKILL",
  });
  const output: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => output.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => output.push(`qemu: ${text}`));
  await new Promise<void>((resolve, reject) => {
    child.on("error", (error) => {
      if (error.name === "AbortError") output.push("vm: timed out or aborted\n");
      else reject(error);
    });
    child.on("close", () => resolve());
  });
  return output.join("");
}
