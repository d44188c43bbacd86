import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../../src/api/client.ts";
import { createNamespace, namespacePath, removeNamespace, unmountBpffs } from "../../src/kernel/index.ts";
import { leftovers } from "../../src/kernel/testing/leftovers.ts";
import { testEnvironment, WEIR } from "./lab.ts";

/** A node with an uplink but without a cluster, and an agent that watches a folder of manifests. */
export class LoneNode {
  readonly client: Client;
  /** Folder of manifests, state and socket; the agent's working directory. */
  readonly folder: string;
  readonly #label: string;
  readonly #undo = leftovers();
  #agent: ChildProcess | undefined;
  #log = "";

  constructor(label: string, addresses: readonly string[]) {
    this.#label = label;
    this.folder = mkdtempSync(join(tmpdir(), `weir-${label}-`));
    this.#undo.defer(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#undo.defer(() => unmountBpffs(this.#at("bpf")));
    mkdirSync(join(this.folder, "manifests"));
    this.client = new Client({ socket: this.#at("agent.sock") });
    for (const name of ["node", "wire"]) this.add(name);
    this.ip("node", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", this.namespace("wire"));
    this.ip("node", "link", "set", "lo", "up");
    for (const name of ["wire", "node"]) this.ip(name, "link", "set", "eth0", "up");
    for (const address of addresses) this.ip("node", "addr", "add", address, "dev", "eth0", ...nodad(address));
  }

  #at(name: string): string {
    return join(this.folder, name);
  }

  namespace(name: string): string {
    return `weir-t${process.pid}-${this.#label}-${name}`;
  }

  /** Creates a network namespace and returns its path. */
  add(name: string): string {
    this.#undo.defer(() => removeNamespace(this.namespace(name)));
    return createNamespace(this.namespace(name));
  }

  run(name: string, ...command: string[]): string {
    return execFileSync("nsenter", [`--net=${namespacePath(this.namespace(name))}`, ...command], { encoding: "utf8" });
  }

  ip(name: string, ...command: string[]): string {
    return this.run(name, "ip", ...command);
  }

  /** Writes a manifest atomically, as `NAME.yaml`. */
  write(name: string, manifest: object): void {
    this.writeText(name, JSON.stringify(manifest));
  }

  writeText(name: string, text: string): void {
    writeFileSync(this.#at("new"), text);
    renameSync(this.#at("new"), this.#at(`manifests/${name}.yaml`));
  }

  remove(name: string): void {
    rmSync(this.#at(`manifests/${name}.yaml`));
  }

  /** Starts the agent, in the place of one that runs, and waits until it is ready. */
  async start(settings: object = {}): Promise<void> {
    await this.stop("SIGKILL");
    const config = {
      ...{ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", node: "n1", uplink: "eth0" },
      ...{ state: this.#at("state"), bpffs: this.#at("bpf"), socket: this.#at("agent.sock") },
      ...{ manifests: this.#at("manifests"), ...settings },
    };
    writeFileSync(this.#at("agent.yaml"), JSON.stringify(config));
    const argv = [
      "--pdeathsig",
      "TERM",
      "nsenter",
      `--net=${namespacePath(this.namespace("node"))}`,
      ...WEIR,
      "agent",
      "--config",
      this.#at("agent.yaml"),
    ];
    this.#agent = spawn("setpriv", argv, {
      ...{ cwd: this.folder, env: testEnvironment() },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const agent = this.#agent;
    this.#undo.defer(() => agent.kill("SIGKILL")); // of one that has ended this does nothing
    for (const stream of [this.#agent.stdout, this.#agent.stderr])
      stream?.on("data", (text) => {
        this.#log += text;
      });
    for (;;) {
      const status = await this.client.status().catch(() => undefined);
      if (status?.state === "ready") return;
      if (this.#agent.exitCode !== null) throw new Error(`start agent: ${this.#log}`);
      await sleep(50);
    }
  }

  /** Attaches a pod; returns its addresses. */
  async pod(name: string): Promise<readonly string[]> {
    const netns = namespacePath(this.namespace(name));
    const { ips } = await this.client.putEndpoint("default", name, { uid: `u-${name}`, netns, ifname: "eth0" });
    return ips;
  }

  /** Ends the agent; SIGKILL leaves everything that it created. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const agent = this.#agent;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    agent.kill(signal);
    await new Promise((resolve) => agent.once("exit", resolve));
  }

  async close(): Promise<void> {
    try {
      await this.stop("SIGTERM");
    } finally {
      this.#undo.dispose();
    }
  }
}

const nodad = (address: string): string[] => (address.includes(":") ? ["nodad"] : []);
