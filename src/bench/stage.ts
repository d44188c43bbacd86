import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { manifests, type PodSpec } from "./pods.ts";
import { attempt, type Beside, CommandError, type Ended, run, start } from "./weir.ts";

export interface StageOptions {
  /** The command under test with its first arguments, e.g. `[bin/weir]`. */
  weir: readonly string[];
  pods: readonly PodSpec[];
  nodes?: number | undefined;
  overlay?: "vxlan" | "direct" | undefined;
  /** Folder of programs for `ebpf-limit`. */
  programs?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
}

/** A pod in `weir get pods -o json`: the fields that measurements need. */
export interface PodItem {
  namespace: string;
  name: string;
  node: string;
  ips: string[];
  device: string;
  problems: { path?: string; message: string }[];
}
/** Rates in bit/s at layer 3. */
export interface LimitItem {
  namespace: string;
  pod: string;
  node: string;
  direction: "ingress" | "egress";
  source: string;
  written: string;
  configured: number | null;
  effective: number | null;
  measured: number | null;
  reason: string | null;
}
/** One agent in `weir status -o json`: the fields that measurements need. */
export interface AgentStatus {
  node: string;
  state: "starting" | "ready" | "degraded";
  abi: number;
  pid: number;
  problems: { object: string; message: string }[];
  /** Kernel objects and map rows written or removed since the agent's start. */
  observed: { writes: number };
}
export interface LabNode {
  name: string;
  agentPid: number;
}

let count = 0;

/** The lab of a measurement, only used through the `weir` command. `down` may be called at any time, and repeatedly. */
export class Stage {
  readonly name: string;
  /** The watched folder of manifests. */
  readonly folder: string;
  /** Wall time of `weir lab up`, seconds. */
  upSeconds = 0;
  readonly overlay: "vxlan" | "direct";
  readonly #options: StageOptions;
  readonly #scratch: string;
  #files = 0;
  #pods = new Map<string, PodItem>();

  private constructor(options: StageOptions) {
    this.#options = options;
    this.overlay = options.overlay ?? "vxlan";
    this.name = `t${process.pid}x${++count}`;
    this.#scratch = mkdtempSync(join(tmpdir(), "weir-stage-"));
    this.folder = join(this.#scratch, "manifests");
    mkdirSync(this.folder);
  }

  /** Starts a lab and waits until its pods are ready. Removes it if that fails. */
  static async up(options: StageOptions): Promise<Stage> {
    const stage = new Stage(options);
    const { nodes = 1, pods, programs } = options;
    for (const pod of pods) stage.writePod(pod);
    const args = ["up", "-f", stage.folder, "--nodes", String(nodes), "--overlay", stage.overlay];
    if (programs !== undefined) args.push("--programs", programs);
    try {
      const begin = performance.now();
      await stage.lab(args, 120_000);
      stage.upSeconds = (performance.now() - begin) / 1000;
      await stage.refresh();
    } catch (error) {
      const log = stage.logs();
      await stage.down().catch(() => {}); // the first error is reported
      throw log === "" ? error : new Error(`start the lab: ${(error as Error).message}\n${log}`, { cause: error });
    }
    return stage;
  }

  /** Runs `weir ARGS` and returns stdout; throws if it fails. */
  weir(args: readonly string[], timeout = 180_000, input?: string): Promise<string> {
    const { env, signal } = this.#options;
    return run([...this.#options.weir, ...args], { env, signal, timeout, input });
  }

  /** Runs `weir lab VERB … --name LAB`. */
  lab([verb = "", ...rest]: readonly string[], timeout?: number): Promise<string> {
    return this.weir(["lab", verb, "--name", this.name, ...rest], timeout);
  }

  /** Runs `weir lab VERB …` and returns its result, with any exit code. */
  attemptLab([verb = "", ...rest]: readonly string[], timeout?: number): Promise<Ended> {
    const { env } = this.#options;
    return attempt([...this.#options.weir, "lab", verb, "--name", this.name, ...rest], { env, timeout });
  }

  /** Argument vector that runs `argv` in a pod (`name` or `namespace/name`). */
  execArgv(pod: string, argv: readonly string[]): string[] {
    const [namespace, name] = pod.includes("/") ? pod.split("/") : ["default", pod];
    return [
      ...this.#options.weir,
      "lab",
      "exec",
      "--name",
      this.name,
      "-n",
      namespace ?? "",
      name ?? "",
      "--",
      ...argv,
    ];
  }

  /** Runs a program in a pod and returns its stdout; throws if it fails. */
  exec(pod: string, argv: readonly string[], timeout?: number): Promise<string> {
    const { env, signal } = this.#options;
    return run(this.execArgv(pod, argv), { env, signal, timeout });
  }

  attemptExec(pod: string, argv: readonly string[], timeout?: number): Promise<Ended> {
    const { env, signal } = this.#options;
    return attempt(this.execArgv(pod, argv), { env, signal, timeout });
  }

  /** Starts a program in a pod, without waiting for its end. */
  startExec(pod: string, argv: readonly string[], onLine?: (line: string) => void): Beside {
    const { env, signal } = this.#options;
    return start(this.execArgv(pod, argv), { env, signal, ...(onLine ? { onLine } : {}) });
  }

  /** Rows of `weir get WHAT --lab LAB -o json`. */
  async get<T = Record<string, unknown>>(what: string): Promise<T[]> {
    const text = await this.weir(["get", what, "--lab", this.name, "-o", "json"]);
    return (JSON.parse(text) as { items: T[] }).items;
  }

  limits(): Promise<LimitItem[]> {
    return this.get<LimitItem>("limits");
  }

  async nodes(): Promise<LabNode[]> {
    const ended = await this.attemptLab(["status", "-o", "json"]); // exit code 1: not ready
    if (ended.stdout === "") throw new CommandError(["weir", "lab", "status"], ended);
    return (JSON.parse(ended.stdout) as { nodes: LabNode[] }).nodes;
  }

  /** Path of a pod's network namespace. */
  async netns(pod: string): Promise<string> {
    const found = (await this.get<{ name: string; netns: string }>("endpoints")).find(({ name }) => name === pod);
    if (!found) throw new Error(`find namespace of pod ${pod}: it has no endpoint`);
    return found.netns;
  }

  /** The path from one pod to another over IPv4. */
  async path(from: string, to: string): Promise<{ from: string; to: string; address: string }> {
    return { from: await this.netns(from), to: await this.netns(to), address: this.ip(to, 4) };
  }

  /** Path of a node's network namespace. */
  nodeNetns(node: string): string {
    return `/run/netns/weir.${this.name}.${node}`;
  }

  /** Reads the pods again. */
  async refresh(): Promise<PodItem[]> {
    const pods = await this.get<PodItem>("pods");
    this.#pods = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    return pods;
  }

  pod(name: string): PodItem {
    const pod = this.#pods.get(name.includes("/") ? name : `default/${name}`);
    if (!pod) throw new Error(`find pod ${name} in lab ${this.name}: weir get pods does not list it`);
    return pod;
  }

  /** A pod's address of one family. */
  ip(name: string, family: 4 | 6): string {
    const found = this.pod(name).ips.find((ip) => ip.includes(":") === (family === 6));
    if (found === undefined) throw new Error(`find IPv${family} address of pod ${name}: it has ${this.pod(name).ips}`);
    return found;
  }

  /** Writes one pod atomically to the watched folder. Does not wait until the lab has applied it. */
  writePod(pod: PodSpec): void {
    this.writeManifest(`${pod.namespace ?? "default"}-${pod.name}.yaml`, manifests([pod]));
  }

  writeManifest(file: string, text: string): void {
    const beside = join(this.#scratch, `${file}.new`);
    writeFileSync(beside, text);
    renameSync(beside, join(this.folder, file));
  }

  removeManifest(file: string): void {
    rmSync(join(this.folder, file), { force: true });
  }

  /** `weir lab apply`: returns when the change is in force. */
  apply(pods: readonly PodSpec[]): Promise<string> {
    return this.applyText(manifests(pods));
  }

  /** `weir lab apply` of any text; throws if the command fails. */
  applyText(text: string): Promise<string> {
    return this.lab(["apply", "-f", this.scratchFile(text)]);
  }

  /** `weir lab apply` of any text; returns its result, with any exit code. */
  attemptApply(text: string): Promise<Ended> {
    return this.attemptLab(["apply", "-f", this.scratchFile(text)]);
  }

  /** `weir lab delete` of the objects in a text: returns when they are removed. */
  deleteText(text: string): Promise<string> {
    return this.lab(["delete", "-f", this.scratchFile(text)]);
  }

  /** Writes a file with this text, which is removed with the lab. */
  scratchFile(text: string): string {
    const file = join(this.#scratch, `apply-${++this.#files}.yaml`);
    writeFileSync(file, text);
    return file;
  }

  /** Kills an agent with -9; resolves to its old pid. */
  async killAgent(node: string): Promise<number> {
    const pid = (await this.nodes()).find(({ name }) => name === node)?.agentPid;
    if (pid === undefined) throw new Error(`kill agent of ${node}: weir lab status does not list it`);
    process.kill(pid, "SIGKILL");
    return pid;
  }

  /** Kills the lab's supervisor and then its agents with -9, so that they are not restarted. */
  async killAll(): Promise<void> {
    const { stdout } = await this.attemptLab(["status", "-o", "json"]);
    const { supervisorPid, nodes } = JSON.parse(stdout) as { supervisorPid: number; nodes: LabNode[] };
    for (const pid of [supervisorPid, ...nodes.map(({ agentPid }) => agentPid)]) process.kill(pid, "SIGKILL");
  }

  /** Waits until a node's agent has another pid and is ready. */
  async awaitAgent(node: string, oldPid: number, timeout = 120_000): Promise<void> {
    const end = Date.now() + timeout;
    for (;;) {
      const now = await this.status(node).catch(() => undefined);
      if (now?.state === "ready" && now.pid !== oldPid) return;
      if (Date.now() > end) throw new Error(`wait for agent of ${node} to be ready again: not after ${timeout} ms`);
      await sleep(50);
    }
  }

  /** The status of a node's agent. Throws while it does not answer. */
  async status(node: string): Promise<AgentStatus> {
    const text = await this.weir(["status", "--lab", this.name, "--node", node, "-o", "json"]);
    const found = (JSON.parse(text) as { items: AgentStatus[] }).items.find((item) => item.node === node);
    if (!found) throw new Error(`ask agent of ${node}: weir status does not list it`);
    return found;
  }

  /** The last lines of the lab's and the agents' logs. */
  logs(lines = 30): string {
    const dir = `/run/weir/labs/${this.name}`;
    const files = ["lab.log", ...[1, 2, 3].map((n) => `nodes/node-${n}/agent.log`)];
    const tail = (file: string): string => {
      try {
        return `--- ${file}\n${readFileSync(join(dir, file), "utf8").trimEnd().split("\n").slice(-lines).join("\n")}\n`;
      } catch {
        return "";
      }
    };
    return files.map(tail).join("");
  }

  async down(): Promise<void> {
    const ended = await this.attemptLab(["down"], 180_000);
    rmSync(this.#scratch, { recursive: true, force: true });
    if (ended.code !== 0) throw new CommandError(["weir", "lab", "down", "--name", this.name], ended);
  }
}
