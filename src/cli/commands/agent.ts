import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { describe, Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import type { LogLevel, Modules } from "../modules.ts";

interface Flags {
  config?: string;
  node?: string;
  socket?: string;
  manifests?: string;
  kubernetes?: true;
  kubeconfig?: string;
  context?: string;
  programs?: string;
  state?: string;
  bpffs?: string;
  keep: boolean;
  mode?: "network" | "chained";
  overlay?: "vxlan" | "direct";
  uplink?: string;
  metrics?: string;
  logLevel: LogLevel;
}

export function addAgent(program: Command, io: Io, load: Modules["agent"]): void {
  program
    .command("agent")
    .summary("run the agent of a node")
    .description(
      "Run the agent of a node until Ctrl+C or SIGTERM. Flags win over the file; weir explain config has all fields.",
    )
    .option("--config <file>", "configuration file (YAML)")
    .option("--node <name>", "the node's name")
    .option("--socket <path>", "unix socket of the API")
    .option("--manifests <path>", "watched folder or file of Kubernetes manifests")
    .option(
      "--kubernetes",
      "objects of a Kubernetes API: that of $KUBECONFIG, ~/.kube/config, or the pod's own cluster",
    )
    .option("--kubeconfig <file>", "objects of the Kubernetes API of this file")
    .option("--context <name>", "the context of the kubeconfig; its current one if left out")
    .option("--programs <dir>", "administrator's folder of programs for ebpf-limit")
    .option("--state <dir>", "folder for what must outlive the agent")
    .option("--bpffs <dir>", "BPF file system")
    .option("--keep", "leave everything in the kernel at the end, for the next start", false)
    .addOption(new Option("--mode <mode>", "chained: pods' network is another's").choices(["network", "chained"]))
    .addOption(new Option("--overlay <kind>", "how pods of other nodes are reached").choices(["vxlan", "direct"]))
    .option("--uplink <device>", "device to the other nodes")
    .option("--metrics <address>", "HOST:PORT that serves /metrics and /healthz alone")
    .addOption(
      new Option("--log-level <level>", "least of what is logged")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(async (flags: Flags) => {
      const config = await readConfig(io, flags);
      const { runAgent } = await load();
      await runAgent({ config, keep: flags.keep, logLevel: flags.logLevel }, { signal: io.signal });
    });
}

async function readConfig(io: Io, flags: Flags) {
  const { defaultConfig, parseConfig } = await import("../../api/config.ts");
  const path = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : resolve(io.cwd, value);
  const overrides = {
    node: flags.node,
    mode: flags.mode,
    overlay: flags.overlay,
    uplink: flags.uplink,
    metrics: flags.metrics,
    socket: path(flags.socket),
    manifests: path(flags.manifests),
    kubernetes: kubernetesOf(flags, path(flags.kubeconfig)),
    programs: path(flags.programs),
    state: path(flags.state),
    bpffs: path(flags.bpffs),
  };
  if (flags.config === undefined) return defaultConfig(overrides);
  const file = resolve(io.cwd, flags.config);
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Failure(`read ${file}: ${describe(error)}`);
  });
  return parseConfig(text, flags.config, overrides);
}

function kubernetesOf({ kubernetes, context }: Flags, kubeconfig: string | undefined) {
  if (!kubernetes && kubeconfig === undefined && context === undefined) return undefined;
  return { kubeconfig, context };
}
