import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupPids, insideCgroup } from "./cgroups.ts";
import { LabError, messageOf } from "./errors.ts";
import { escapeFstab, mounts, within } from "./mounts.ts";
import { programPath, runSync } from "./run.ts";
import { LONGEST } from "./time.ts";

/** A mount of a container, as one line of fstab. */
export interface ContainerMount {
  source: string;
  target: string;
  type: string;
  options: string;
  /** Expected `device:inode` of the target after mounting. */
  id?: string | undefined;
}

/** Everything needed to run one container. No shell interprets any of it. */
export interface ContainerSpec {
  /** A directory of this container alone. */
  dir: string;
  netns: string;
  cgroup: string;
  /** The cgroup of the supervisor, to which it returns. */
  homeCgroup: string;
  hostname: string;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  workingDir: string;
  /** Root directory; undefined: the machine's own. */
  rootfs: string | undefined;
  /** True if the root is an image's. */
  image: boolean;
  mounts: readonly ContainerMount[];
  /** Sysctls of its IPC namespace, by their paths below /proc/sys. */
  sysctls: Readonly<Record<string, string>>;
  log: string;
}

export interface ContainerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A running container. `init` is its first process, by the machine's PID. */
export interface RunningContainer {
  child: ChildProcess;
  init: number;
  exited: Promise<ContainerExit>;
}

/**
 * Mounts that the container does not need, and that would keep other namespaces, labs and pins alive as long as it
 * runs.
 */
function foreignMounts(): string[] {
  return mounts()
    .filter(({ path, type }) => type === "bpf" || within(path, "/run/netns") || within(path, "/run/weir"))
    .map(({ path }) => path)
    .reverse();
}

/**
 * Starts a process that holds new namespaces (mount, UTS, IPC) open while they are set up. Files under /run cannot hold
 * them: the kernel refuses to mount some mount namespaces' handles inside others. The process is `cat`: its first
 * output shows that the namespaces exist, and closing its input ends it.
 */
async function holdNamespaces(): Promise<ChildProcess> {
  const args = ["--mount", "--uts", "--ipc", "--propagation", "private", "--", "cat"];
  const holder = spawn("unshare", args, { stdio: ["pipe", "pipe", "pipe"], cwd: "/" });
  let said = "";
  holder.stderr.on("data", (chunk) => {
    said += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    holder.once("error", reject);
    holder.once("exit", () =>
      reject(new LabError("container", `make namespaces: ${said.trim() || "unshare has ended"}`)),
    );
    holder.stdout.once("data", () => resolve());
    holder.stdin.on("error", () => {}); // The exit handler reports the reason.
    holder.stdin.write("ready\n");
  });
  return holder;
}

/**
 * Sets up mounts and host name inside the holder's namespaces. All commands use the holder's root (-r): if this process
 * runs in a chroot, the root of a mount namespace differs from its own. Mounts are made in order, as in fstab.
 */
function furnish(spec: ContainerSpec, holder: string): void {
  const foreign = foreignMounts();
  if (foreign.length > 0) {
    // Some may have been unmounted since the list was read.
    runSync("nsenter", ["-t", holder, "-m", "-r", "--", "umount", "-n", "-l", ...foreign], {
      tolerate: /not mounted|no mount point/,
    });
  }
  const fstab = `${spec.dir}/fstab`;
  writeFileSync(fstab, spec.mounts.map(fstabLine).join(""));
  runSync("nsenter", ["-t", holder, `--net=${spec.netns}`, "-m", "-r", "--", "mount", "-n", "-a", "-T", fstab]);
  checkMounts(spec, holder);
  for (const [path, input] of Object.entries(spec.sysctls))
    runSync("nsenter", ["-t", holder, "-i", "--", "tee", `/proc/sys/${path}`], { input });
  runSync("nsenter", ["-t", holder, "-u", "--", "tee", "/proc/sys/kernel/hostname"], { input: spec.hostname });
}

/**
 * A container of the same pod may have replaced a checked path by a symbolic link. At this point nothing runs in the
 * new container.
 */
function checkMounts({ mounts: all }: ContainerSpec, holder: string): void {
  const checked = all.filter((mount) => mount.id !== undefined);
  if (checked.length === 0) return;
  const targets = checked.map(({ target }) => target);
  const said = runSync("nsenter", ["-t", holder, "-m", "-r", "--", "stat", "-c", "%d:%i", "--", ...targets]);
  const found = said.trim().split("\n");
  const wrong = checked.find(({ id }, index) => found[index] !== id);
  if (wrong === undefined) return;
  throw new LabError("bad-volume", `mount ${wrong.source}: refused, it was changed while it was mounted`);
}

function fstabLine(mount: ContainerMount): string {
  return `${[mount.source, mount.target, mount.type, mount.options].map(escapeFstab).join(" ")} 0 0\n`;
}

/** The argument vector that enters the holder's namespaces and runs the command as process 1 of a new PID namespace. */
export function containerArgv(spec: ContainerSpec, holder: string): string[] {
  const root = spec.rootfs === undefined ? [] : [`--root=${spec.rootfs}`];
  return [
    ...[programPath("nsenter"), "-t", holder, `--net=${spec.netns}`, "-m", "-r", "-u", "-i", "--"],
    ...[
      programPath("unshare"),
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      ...root,
      `--wd=${spec.workingDir}`,
      "--",
    ],
    ...spec.argv,
  ];
}

/**
 * Starts the container's command as a process of the pod's cgroup.
 * @throws LabError `container` if the command could not be started
 */
export async function startContainer(spec: ContainerSpec): Promise<RunningContainer> {
  const holder = await holdNamespaces();
  try {
    furnish(spec, String(holder.pid));
    return await launch(spec, containerArgv(spec, String(holder.pid)));
  } finally {
    holder.stdin?.end();
  }
}

async function launch(spec: ContainerSpec, [file = "", ...args]: readonly string[]): Promise<RunningContainer> {
  const fd = openSync(spec.log, "a", 0o600);
  let child: ChildProcess;
  try {
    child = insideCgroup(spec.cgroup, spec.homeCgroup, () =>
      spawn(file, args, { stdio: ["ignore", fd, fd], env: spec.env as NodeJS.ProcessEnv, cwd: "/" }),
    );
  } finally {
    closeSync(fd);
  }
  const exited = new Promise<ContainerExit>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {});
  try {
    return { child, exited, init: await findInit(spec, child) };
  } catch (cause) {
    child.kill("SIGKILL");
    throw cause;
  }
}

/** Waits until the command itself runs: `unshare` has forked and its child has executed another program. */
async function findInit(spec: ContainerSpec, child: ChildProcess): Promise<number> {
  const parent = child.pid;
  if (parent === undefined)
    throw new LabError("container", `start ${spec.argv[0]}: nsenter is missing (install util-linux)`);
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    const init = cgroupPids(spec.cgroup).find((pid) => parentOf(pid) === parent);
    if (init !== undefined && hasTakenOver(init, parent)) return init;
    if (child.exitCode !== null || child.signalCode !== null) {
      if (neverRan(child.exitCode, tail(spec.log, 1))) throw notStarted(spec);
      return init ?? 0;
    }
    await sleep(2);
  }
  throw new LabError("container", `start ${spec.argv[0]}: no process after 10 s`);
}

/** True if `unshare` failed before the command was executed. `said`: the last line of the log. */
export function neverRan(exitCode: number | null, said: string): boolean {
  return exitCode === 126 || exitCode === 127 || (exitCode === 1 && said.startsWith("unshare: "));
}

function notStarted(spec: ContainerSpec): LabError {
  const said = tail(spec.log, 1).replace(/^unshare: /, "");
  const where = spec.image ? "in the image" : "on this machine";
  return new LabError("container", `start ${spec.argv[0]} ${where}: ${said === "" ? "not found" : said}`);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

/** `unshare` and its child run the same program until the child executes the command. */
function hasTakenOver(init: number, parent: number): boolean {
  try {
    if (readlinkSync(`/proc/${init}/exe`) !== readlinkSync(`/proc/${parent}/exe`)) return true;
    const own = readFileSync(`/proc/${init}/cmdline`, "utf8");
    // A process that is exiting has an empty command line.
    return own !== "" && own !== readFileSync(`/proc/${parent}/cmdline`, "utf8");
  } catch {
    return false;
  }
}

/** True if process `pid` handles SIGTERM. Process 1 of a PID namespace ignores signals that it does not handle. */
export function handlesTerm(pid: number): boolean {
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${caught}`) & (1n << 14n)) !== 0n;
  } catch {
    return false;
  }
}

/** Sends SIGTERM to the command, waits `grace` ms, then kills its PID namespace. */
export async function stopContainer(running: RunningContainer, grace: number): Promise<ContainerExit> {
  const { init, child, exited } = running;
  const living = (): boolean => child.exitCode === null && child.signalCode === null;
  if (living() && init > 0 && handlesTerm(init)) {
    kill(init, "SIGTERM");
    await Promise.race([exited, sleep(Math.min(grace, LONGEST), undefined, { ref: false })]);
  }
  if (living()) {
    if (init > 0) kill(init, "SIGKILL");
    child.kill("SIGKILL");
  }
  return await exited;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // The process is gone.
}

/** The last `lines` lines of a log file; "" if there is none. */
export function tail(path: string, lines: number): string {
  if (!existsSync(path)) return "";
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch (error) {
    return messageOf(error);
  }
}
