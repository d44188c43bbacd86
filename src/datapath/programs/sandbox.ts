import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, realpathSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** What a run in the sandbox may use. Beyond it, it is killed. */
export const LIMITS = {
  cpuSeconds: 3,
  /** Of address space: clang maps its libraries, too. */
  memory: 2 * 1024 ** 3,
  files: 64,
  processes: 32,
  /** Of what it writes to its output. */
  output: 8 * 1024 ** 2,
  wallMs: 30_000,
} as const;
/** A user that nobody else is, so that its number of processes can be bounded: Debian keeps the number for no one. */
const USER = "65533";
const PREFIX = "sandbox-";
const TABLE = ".fstab";

export interface SandboxRun {
  argv: readonly string[];
  input: string | Buffer;
}
export interface SandboxResult {
  /** Exit code; null if it was killed. */
  code: number | null;
  stdout: Buffer;
  stderr: string;
  /** Which limit it met. */
  limit: string | undefined;
}

export interface SandboxOptions {
  /** Directories of this machine that the sandbox shows, read-only; nothing else exists in there. */
  directories: readonly string[];
  /** Folder in which the sandbox's empty root is made and removed. */
  scratch: string;
}

/**
 * A place to run a compiler over text that may be hostile: namespaces of its own (mount, network, IPC, host name,
 * processes), a root that holds the compiler and public headers alone and where nothing can be written, a user without
 * any right, and limits. Text goes in by standard input, what comes out is standard output.
 */
export class Sandbox {
  readonly #holder: ChildProcess;
  readonly #root: string;

  private constructor(holder: ChildProcess, root: string) {
    this.#holder = holder;
    this.#root = root;
  }

  /** Throws what the machine says if it cannot give namespaces or mounts. */
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

  /** Removes what sandboxes of a process that was killed have left behind: empty directories, never more. */
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

  /** The namespaces go with their last process. */
  close(): void {
    this.#holder.stdin?.end();
    this.#holder.kill("SIGKILL");
    removeEmpty(this.#root);
  }

  #enter(): string[] {
    return ["-t", String(this.#holder.pid), "-m", "-n", "-i", "-u", "-r", "--"];
  }
}

/** Its mounts are in the sandbox's namespace alone: on our side it is empty. */
function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {} // in use, or gone
}

/** `cat` repeats what it reads once it runs: its answer says that the namespaces are there. */
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
    holder.stdin.on("error", () => {}); // its exit says why
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

/** One field of an fstab line. */
const field = (text: string): string =>
  text.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);

const firstLine = (text: string | undefined): string => text?.trim().split("\n")[0] ?? "";

/** Where a program really is: links in its path mean nothing inside. */
export function resolveProgram(name: string): string {
  for (const directory of ENVIRONMENT.PATH.split(":")) {
    try {
      return realpathSync(join(directory, name));
    } catch {}
  }
  throw new Error(`find ${name}: not installed`);
}

/** Directories that a compiler at `path` needs: libraries, its own, the headers of C, of Linux and of libbpf. */
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
    child.stdin.on("error", () => {}); // it need not read all of it
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      // where its child was killed, unshare ends likewise, or with 128 + the signal, or fails in trying to (util-linux 2.38)
      const isKilled = signal !== null || (code ?? 0) > 128 || /^unshare: sigprocmask/m.test(stderr);
      if (isKilled) limit ??= `${LIMITS.cpuSeconds} s of CPU time, or its memory`;
      resolve({ code: limit === undefined ? code : null, stdout: Buffer.concat(output), stderr, limit });
    });
    child.stdin.end(input);
  });
}
