import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, realpathSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** Limits of a run in the sandbox. A run that exceeds one is killed. */
export const LIMITS = {
  cpuSeconds: 3,
  /** Address space, which includes mapped libraries, bytes. */
  memory: 2 * 1024 ** 3,
  files: 64,
  processes: 32,
  /** Standard output, bytes. */
  output: 8 * 1024 ** 2,
  wallMs: 30_000,
} as const;
/** A uid that Debian reserves and nothing else uses, so that RLIMIT_NPROC only counts sandboxed processes. */
const USER = "65533";
const PREFIX = "sandbox-";
const TABLE = ".fstab";

export interface SandboxRun {
  argv: readonly string[];
  input: string | Buffer;
}
export interface SandboxResult {
  /** Exit code; null: killed by a signal. */
  code: number | null;
  stdout: Buffer;
  stderr: string;
  /** The limit that was exceeded. */
  limit: string | undefined;
}

export interface SandboxOptions {
  /** Directories that are visible in the sandbox, read-only. Nothing else is. */
  directories: readonly string[];
  /** The folder in which the sandbox's root directory is created and removed. */
  scratch: string;
}

/**
 * Runs a compiler on untrusted text. Has its own mount, network, IPC, UTS and PID namespaces; a read-only root with
 * only the compiler and public headers; an unprivileged user; and limits. Input is standard input, output is standard
 * output.
 */
export class Sandbox {
  readonly #holder: ChildProcess;
  readonly #root: string;

  private constructor(holder: ChildProcess, root: string) {
    this.#holder = holder;
    this.#root = root;
  }

  /** @throws Error with the system's message if it cannot create namespaces or mounts */
  static async open({ directories, scratch }: SandboxOptions): Promise<Sandbox> {
    const holder = await holdNamespaces();
    const root = mkdtempSync(join(scratch, PREFIX));
    const table = `${root}${TABLE}`;
    const sandbox = new Sandbox(holder, root);
    try {
      writeFileSync(table, mounts(root, directories), { mode: 0o600 });
      await promisify(execFile)("nsenter", [...sandbox.#enter(), "mount", "-n", "-a", "-T", table]);
      return sandbox;
    } catch (cause) {
      sandbox.close();
      throw new Error(`make sandbox: ${firstLine((cause as { stderr?: string }).stderr) || (cause as Error).message}`, {
        cause,
      });
    } finally {
      rmSync(table, { force: true });
    }
  }

  /** Removes the root directories of sandboxes whose process was killed. Only removes empty directories. */
  static sweep(scratch: string): void {
    for (const name of readdirSync(scratch).filter((one) => one.startsWith(PREFIX))) {
      if (name.endsWith(TABLE)) rmSync(join(scratch, name), { force: true });
      else removeEmpty(join(scratch, name));
    }
  }

  run({ argv, input }: SandboxRun): Promise<SandboxResult> {
    const limits = [
      `--cpu=${LIMITS.cpuSeconds}`,
      `--as=${LIMITS.memory}`,
      `--nofile=${LIMITS.files}`,
      `--nproc=${LIMITS.processes}`,
    ];
    const inside = ["--pid", "--fork", "--kill-child", `--root=${this.#root}`, "--wd=/", "--setuid", USER];
    const command = [
      ...["prlimit", ...limits, "--core=0", "--fsize=0", "--"],
      ...["nsenter", ...this.#enter()],
      ...["setpriv", "--no-new-privs", "--"],
      ...["unshare", ...inside, "--setgid", USER, "--"],
      ...argv,
    ];
    return runLimited(command, input);
  }

  /** Ends the sandbox. Its namespaces are removed with their last process. */
  close(): void {
    this.#holder.stdin?.end();
    this.#holder.kill("SIGKILL");
    removeEmpty(this.#root);
  }

  #enter(): string[] {
    return ["-t", String(this.#holder.pid), "-m", "-n", "-i", "-u", "-r", "--"];
  }
}

/** The mounts are in the sandbox's mount namespace only; outside, the directory is empty. */
function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {} // in use, or already removed
}

/** Starts `cat` in new namespaces. Its first reply shows that the namespaces exist. */
async function holdNamespaces(): Promise<ChildProcess> {
  const args = ["--mount", "--net", "--ipc", "--uts", "--propagation", "private", "--", "cat"];
  const holder = spawn("unshare", args, { stdio: ["pipe", "pipe", "pipe"], cwd: "/", env: ENVIRONMENT });
  let said = "";
  holder.stderr.on("data", (chunk) => {
    said += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    holder.once("error", (cause) => reject(new Error(`make sandbox: ${cause.message}`, { cause })));
    holder.once("exit", () => reject(new Error(`make sandbox: ${firstLine(said) || "unshare has ended"}`)));
    holder.stdout.once("data", () => resolve());
    holder.stdin.on("error", () => {}); // its exit reports the error
    holder.stdin.write("ready\n");
  });
  return holder;
}

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

function mounts(root: string, directories: readonly string[]): string {
  const own = `weir-sandbox ${field(root)} tmpfs nosuid,nodev,noexec,size=64k,mode=755 0 0\n`;
  const binds = directories.map(
    (path) => `${field(path)} ${field(`${root}${path}`)} none bind,ro,nosuid,nodev,x-mount.mkdir 0 0\n`,
  );
  return own + binds.join("");
}

/** Escapes one field of an fstab line. */
const field = (text: string): string =>
  text.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);

const firstLine = (text: string | undefined): string => text?.trim().split("\n")[0] ?? "";

/** The real path of a program: symlinks may not resolve inside of the sandbox. */
export function resolveProgram(name: string): string {
  for (const directory of ENVIRONMENT.PATH.split(":")) {
    try {
      return realpathSync(join(directory, name));
    } catch {}
  }
  throw new Error(`find ${name}: not installed`);
}

/** Directories needed by the compiler at `path`: libraries, its own files, headers of C, Linux and libbpf. */
export function compilerDirectories(path: string): string[] {
  const own = path.startsWith("/usr/lib/") ? [] : [dirname(path)];
  return ["/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/include", ...own].filter(exists);
}

function exists(path: string): boolean {
  try {
    return realpathSync(path) !== "";
  } catch {
    return false;
  }
}

function runLimited([file = "", ...args]: readonly string[], input: string | Buffer): Promise<SandboxResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], cwd: "/", env: ENVIRONMENT });
    const output: Buffer[] = [];
    let [size, stderr] = [0, ""];
    let limit: string | undefined;
    const stop = (what: string): void => {
      limit ??= what;
      child.stdout.destroy();
      child.stderr.destroy();
      child.kill("SIGKILL");
    };
    const timer = setTimeout(() => stop(`${LIMITS.wallMs / 1000} s`), LIMITS.wallMs);
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > LIMITS.output) stop(`${LIMITS.output / 1024 ** 2} MiB of output`);
      else output.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      if (stderr.length < 64 * 1024) stderr += chunk.toString("latin1");
    });
    child.stdin.on("error", () => {}); // the program may exit without reading its input
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      // if its child was killed by a signal, unshare exits with 128 + signal, or kills itself, or fails to do so
      // (util-linux 2.38)
      const isKilled = signal !== null || (code ?? 0) > 128 || /^unshare: sigprocmask/m.test(stderr);
      if (isKilled) limit ??= `${LIMITS.cpuSeconds} s of CPU time, or its memory`;
      resolve({ code: limit === undefined ? code : null, stdout: Buffer.concat(output), stderr, limit });
    });
    child.stdin.end(input);
  });
}
