import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../../src/api/client.ts";
import { createNamespace, namespacePath, removeNamespace, unmountBpffs } from "../../src/kernel/index.ts";
import { leftovers } from "../../src/kernel/testing/leftovers.ts";

const WEIR = join(import.meta.dirname, "../../bin/weir");
let nodes = 0;

/**
 * A node: a network namespace with an agent that takes its objects from a Kubernetes API, and network namespaces of
 * pods. The API is reached by an address on the node's loopback device (`FaultProxy` listens there).
 */
export class AgentNode {
  readonly name: string;
  readonly #id = `weir-t${process.pid}-node${nodes++}`;
  readonly #folder = mkdtempSync(join(tmpdir(), "weir-node-"));
  readonly #undo = leftovers();
  readonly client = new Client({ socket: join(this.#folder, "agent.sock") });
  #agent: ChildProcess | undefined;

  constructor(name: string) {
    this.name = name;
    this.#undo.defer(() => rmSync(this.#folder, { recursive: true, force: true }));
    this.#undo.defer(() => unmountBpffs(join(this.#folder, "bpf")));
    createNamespace(this.#id);
    this.#undo.defer(() => removeNamespace(this.#id));
    execFileSync("ip", ["-n", this.#id, "link", "set", "lo", "up"]);
    execFileSync("ip", ["-n", this.#id, "addr", "add", "192.0.2.1/32", "dev", "lo"]);
  }

  /** Path of its network namespace. */
  get namespace(): string {
    return namespacePath(this.#id);
  }

  get pid(): number | undefined {
    return this.#agent?.exitCode === null ? this.#agent.pid : undefined;
  }

  get log(): string {
    const file = join(this.#folder, "agent.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Starts the agent, and waits until it is ready. `kubeconfig` is the file's content. */
  async start(kubeconfig: string): Promise<void> {
    const at = (file: string): string => join(this.#folder, file);
    const config = {
      ...{
        apiVersion: "weir.dev/v1alpha1",
        kind: "AgentConfig",
        node: this.name,
        uplink: "lo",
        addresses: ["192.0.2.1"],
      },
      ...{ state: at("state"), bpffs: at("bpf"), socket: at("agent.sock") },
    };
    writeFileSync(at("agent.yaml"), JSON.stringify(config));
    this.replaceKubeconfig(kubeconfig);
    const out = openSync(at("agent.log"), "a");
    const argv = ["--pdeathsig", "TERM", "nsenter", `--net=${this.namespace}`, WEIR, "agent"];
    const flags = ["--config", at("agent.yaml"), "--kubeconfig", at("kubeconfig.yaml")];
    this.#agent = spawn("setpriv", [...argv, ...flags], { stdio: ["ignore", out, out] });
    closeSync(out);
    const end = performance.now() + 120_000;
    while (!(await this.#ready())) {
      if (this.pid === undefined || performance.now() > end) throw new Error(`start agent: not ready:\n${this.log}`);
      await sleep(50);
    }
  }

  /** Replaces the content of the kubeconfig, by rename. */
  replaceKubeconfig(text: string): void {
    const file = join(this.#folder, "kubeconfig.yaml");
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  async #ready(): Promise<boolean> {
    const status = await this.client.status().catch(() => undefined);
    return status !== undefined && status.state !== "starting";
  }

  /** Attaches a pod of the API, as a container runtime does. Resolves to its addresses. */
  async addPod(namespace: string, name: string, uid: string): Promise<readonly string[]> {
    const id = `${this.#id}-${name}`;
    createNamespace(id);
    this.#undo.defer(() => removeNamespace(id));
    const { ips } = await this.client.putEndpoint(namespace, name, { uid, netns: namespacePath(id) });
    return ips;
  }

  /** Ends the agent, which removes what it created, and the namespaces. */
  async close(): Promise<void> {
    if (this.#agent && this.pid !== undefined) {
      const ended = once(this.#agent, "exit");
      this.#agent.kill("SIGTERM");
      await ended;
    }
    this.#undo.dispose();
  }
}
