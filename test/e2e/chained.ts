import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { capabilityNames } from "../../src/agent/capabilities.ts";
import { createNamespace, namespacePath, removeNamespace, unmountBpffs } from "../../src/kernel/index.ts";
import { endIperf, type RunThere, serveIperf } from "../../src/kernel/testing/iperf-server.ts";
import { leftovers } from "../../src/kernel/testing/leftovers.ts";
import { REPOSITORY, testEnvironment, WEIR } from "./lab.ts";

/** An item of any list of `weir get`. */
export interface Item {
  pod?: string;
  name?: string;
  owner?: string | null;
  device?: string | null;
  direction?: string;
  effective?: unknown;
  measured?: number | null;
  state?: string;
  reason?: string;
  function?: string;
  packets?: number;
  lost?: number;
  dropped?: number;
  object?: string;
  message?: string;
  hops?: { function: string }[];
  spec?: { ports: { instance: string; name: string; entry?: string }[] };
}

/** A node with another plugin's network, an agent in mode `chained`, and the manifests that it watches. */
export class ChainedNode {
  readonly folder: string;
  /** Addresses of pods by name, as their network assigned them. */
  readonly ips = new Map<string, readonly string[]>();
  readonly #label: string;
  readonly #enter: () => readonly string[];
  readonly #undo = leftovers();
  #agent: ChildProcess | undefined;
  #log = "";

  /** `enter`: additional arguments of nsenter for commands on the node. */
  constructor(label: string, enter: () => readonly string[] = () => []) {
    this.#label = label;
    this.#enter = enter;
    this.folder = mkdtempSync(join(tmpdir(), `weir-${label}-`));
    this.#undo.defer(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#undo.defer(() => unmountBpffs(this.#places.bpffs));
    mkdirSync(join(this.folder, "manifests"));
    this.add("node");
    const config = {
      ...{
        apiVersion: "weir.dev/v1alpha1",
        kind: "AgentConfig",
        node: "n1",
        manifests: join(this.folder, "manifests"),
      },
      ...{ ...this.#places, programs: join(REPOSITORY, "examples/programs") },
    };
    writeFileSync(join(this.folder, "agent.yaml"), JSON.stringify(config));
  }

  get #places(): { state: string; bpffs: string; socket: string } {
    const at = (name: string) => join(this.folder, name);
    return { state: at("state"), bpffs: at("bpf"), socket: at("agent.sock") };
  }

  namespace(name: string): string {
    return `weir-t${process.pid}-${this.#label}-${name}`;
  }

  /** Creates a network namespace for a pod. */
  add(name: string): void {
    createNamespace(this.namespace(name));
    this.#undo.defer(() => removeNamespace(this.namespace(name)));
  }

  inside(name: string, ...command: string[]): string {
    return this.run([`--net=${namespacePath(this.namespace(name))}`], command);
  }

  onNode(...command: string[]): string {
    return this.run([`--net=${namespacePath(this.namespace("node"))}`, ...this.#enter()], command);
  }

  run(enter: readonly string[], command: readonly string[]): string {
    return execFileSync("nsenter", [...enter, ...command], {
      encoding: "utf8",
      env: testEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Writes the pod's manifest, with the addresses that its network assigned, and rules. */
  write(name: string, annotations: Record<string, string>): void {
    const pod = {
      ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", annotations } },
      spec: { nodeName: "n1", containers: [{ name: "c", command: ["sleep"] }] },
      status: { podIPs: this.ips.get(name)?.map((ip) => ({ ip })) },
    };
    writeFileSync(join(this.folder, "manifests", `${name}.json`), JSON.stringify(pod));
  }

  address(name: string, family: 4 | 6): string {
    return this.ips.get(name)?.find((ip) => ip.includes(":") === (family === 6)) ?? "";
  }

  get(kind: string): Item[] {
    const { socket } = this.#places;
    const text = this.onNode(...WEIR, "get", kind, "-o", "json", "--socket", socket);
    const read = JSON.parse(text) as Item | Item[] | { items: Item[] };
    if (Array.isArray(read)) return read;
    return "items" in read ? read.items : [read as Item];
  }

  async until(what: string, isTrue: () => boolean): Promise<void> {
    const end = Date.now() + 60_000;
    let why = "";
    while (Date.now() < end) {
      try {
        if (isTrue()) return;
      } catch (error) {
        why = (error as Error).message; // the agent is not there yet
      }
      await sleep(250);
    }
    throw new Error(`${what}: not within 60 s; ${why}; agent: ${this.#log}`);
  }

  /** Starts the agent, in the place of one that runs, with the service's capabilities and no others; resolves when so many pods have a device. */
  async start(pods: number): Promise<void> {
    await this.stop("SIGKILL");
    const argv = [...WEIR, "agent", "--mode", "chained", "--config", join(this.folder, "agent.yaml")];
    const enter = [`--net=${namespacePath(this.namespace("node"))}`, ...this.#enter()];
    const bound = `--bounding-set=-all${capabilityNames.map((name) => `,+${name}`).join("")}`;
    const limited = ["setpriv", "--pdeathsig", "TERM", bound, "--inh-caps=-all", "--", ...argv];
    this.#agent = spawn("nsenter", [...enter, ...limited], { env: testEnvironment() });
    const agent = this.#agent;
    this.#undo.defer(() => agent.kill("SIGKILL")); // of one that has ended this does nothing
    this.#agent.stdout?.on("data", (text) => (this.#log += text));
    this.#agent.stderr?.on("data", (text) => (this.#log += text));
    await this.until("taps", () => this.get("pods").filter(({ device }) => device).length === pods);
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const agent = this.#agent;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = new Promise((resolve) => agent.once("exit", resolve));
    agent.kill(signal);
    await ended;
  }

  /** Runs `weir uninstall` in the agent's place. */
  uninstall(): string {
    const flags = Object.entries(this.#places).flatMap(([name, path]) => [`--${name}`, path]);
    return this.onNode(...WEIR, "uninstall", ...flags);
  }

  /** Pins of the taps' BPF links. */
  pins(): string[] {
    try {
      return readdirSync(join(this.folder, "bpf/weir/n1/links")).filter((pin) => pin.startsWith("%tap"));
    } catch {
      return []; // no panel, no pins
    }
  }

  /** Everything of Weir's on the node's devices: its own devices, and programs on others. */
  left(): string[] {
    const devices = [...this.onNode("ip", "-o", "link").matchAll(/^\d+: (weir[^:@]*)/gm)].map(([, name]) => name ?? "");
    return [...devices, ...(this.onNode("bpftool", "net", "show").match(/weir_\S+/g) ?? [])];
  }

  /** Number of ping replies. */
  ping(from: string, to: string, count: number): number {
    return received(this.inside(from, ...pingCommand(to, count)));
  }

  /** Starts an iperf3 server for one client where `run` runs. */
  async serve(run: RunThere): Promise<void> {
    await serveIperf(run, this.#pidfile);
  }

  get #pidfile(): string {
    return join(this.folder, "iperf.pid");
  }

  async close(): Promise<void> {
    try {
      await this.stop("SIGTERM");
      endIperf(this.#pidfile);
    } finally {
      this.#undo.dispose();
    }
  }
}

export const pingCommand = (to: string, count: number): string[] => [
  "sh",
  "-c",
  `ping -n -q -i 0.002 -W 1 -c ${count} ${to} || :`,
];
export const received = (text: string): number => Number(/(\d+) received/.exec(text)?.[1]);
