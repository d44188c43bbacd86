import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testEnvironment } from "./lab.ts";

/** The fields of `podman inspect` that are used. */
interface Inspected {
  State: { Pid: number };
  NetworkSettings: { Networks: Record<string, { IPAddress: string; GlobalIPv6Address: string }> };
}

/** The container's address in its network's subnets. */
interface Addresses {
  4: string;
  6: string;
}

/**
 * A podman of this test alone: storage and settings in `folder`, and a mount namespace with an empty `/run` (where
 * podman keeps addresses and namespaces) and only cgroup v2, as crun requires.
 */
export class Podman {
  readonly #folder: string;
  readonly #netns: string;
  #mounts: ChildProcess | undefined;

  /** `netns`: path of the network namespace where podman creates its bridges. */
  constructor(folder: string, netns: string) {
    this.#folder = folder;
    this.#netns = netns;
  }

  /** Creates the mount namespace, which ends with this process, and podman's settings. */
  async open(): Promise<void> {
    mkdirSync(this.#folder);
    writeFileSync(join(this.#folder, "containers.conf"), this.#settings());
    const mounts = "mount -t tmpfs tmpfs /run && { umount -R -l /sys/fs/cgroup || :; }";
    const script = `${mounts} && mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo ready && exec cat`;
    const child = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", script]);
    let told = "";
    child.stderr.on("data", (text) => (told += text));
    this.#mounts = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      child.once("exit", () => reject(new Error(`make a mount namespace for podman: ${told}`)));
    });
  }

  /** Additional arguments of nsenter for commands that use podman's files. */
  get enter(): readonly string[] {
    const of = `/proc/${this.#mounts?.pid}`;
    return [`--mount=${of}/ns/mnt`, `--root=${of}/root`, `--wd=${of}/cwd`]; // a mount namespace alone would leave a changed root
  }

  run(...command: string[]): string {
    const at = (name: string) => join(this.#folder, name);
    const storage = ["--root", at("root"), "--runroot", at("runroot"), "--storage-driver", "vfs"];
    return execFileSync("nsenter", [`--net=${this.#netns}`, ...this.enter, "podman", ...storage, ...command], {
      encoding: "utf8",
      env: { ...testEnvironment(), CONTAINERS_CONF: at("containers.conf") },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Starts a container with busybox alone that sleeps. */
  start(name: string, network: string, { 4: v4, 6: v6 }: Addresses): void {
    const rootfs = join(this.#folder, "rootfs", name);
    mkdirSync(join(rootfs, "bin"), { recursive: true });
    copyFileSync("/usr/bin/busybox", join(rootfs, "bin/busybox"));
    symlinkSync("busybox", join(rootfs, "bin/sleep"));
    const options = ["--name", name, "--network", network, "--ip", v4, "--ip6", v6];
    this.run("run", "--detach", ...options, "--rootfs", rootfs, "/bin/sleep", "600");
  }

  /** The container's first process and its addresses. */
  inspect(name: string): { pid: number; ips: string[] } {
    const [{ State, NetworkSettings } = {} as Inspected] = JSON.parse(this.run("inspect", name)) as Inspected[];
    const [network] = Object.values(NetworkSettings.Networks);
    return { pid: State.Pid, ips: [network?.IPAddress ?? "", network?.GlobalIPv6Address ?? ""] };
  }

  /** Removes all containers, then the mount namespace. */
  async close(): Promise<void> {
    const mounts = this.#mounts;
    if (!mounts || mounts.exitCode !== null) return;
    this.run("rm", "--all", "--force", "--time", "0");
    const ended = new Promise((resolve) => mounts.once("exit", resolve));
    mounts.stdin?.end();
    await ended;
  }

  /** Containers keep the resource limits of this process: raising them requires a capability. */
  #settings(): string {
    return `
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
static_dir = "${this.#folder}/static"
volume_path = "${this.#folder}/volumes"
tmp_dir = "${this.#folder}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "${this.#folder}/networks"
`;
  }
}
