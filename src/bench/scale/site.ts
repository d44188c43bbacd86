import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../../api/client.ts";
import { addAddress, createNamespace, namespacePath, removeNamespace, setLink } from "../../kernel/index.ts";
import { answers, startAgent } from "../lone-agent.ts";
import { readCpuMs, readPeak, readResident } from "../process.ts";
import { type Beside, run } from "../weir.ts";
import { ScaleApi, type Seed } from "./api.ts";
import { type PodShape, podObject } from "./objects.ts";
import { RowWatch } from "./rows.ts";

const ADDRESS = "192.0.2.1";
/** All networks of the cluster's pods; without this setting an agent accepts fewer Nodes' claims. */
const CLUSTER = ["10.0.0.0/8", "fd00:10::/32"];
/** Protocol number of routes of a routing daemon (BIRD), which the agent ignores. */
const PROTOCOL = "12";
/** Time for which an agent still processes its pods' last reports, ms. */
const SETTLE = 3000;
/** Pods that are attached concurrently. */
const TOGETHER = 20;

export interface SiteOptions {
  /** The build's command and its first arguments. */
  command: readonly string[];
  env: NodeJS.ProcessEnv;
  /** Part of its namespaces' names. */
  label: string;
  /** The API server's initial objects. */
  seed: Seed;
  /** Number of foreign routes in the node's kernel. */
  routes: number;
}

/** Time of an agent from its start until everything is in force, and the resources that it used. */
export interface Start {
  seconds: number;
  cpuSeconds: number;
  peakMB: number;
}

/** One build's agent on its own node with its own API server. Its pods are namespaces without a process. */
export class Site {
  readonly client: Client;
  readonly api: ScaleApi;
  /** CPU ms per ms while nothing changes. */
  idle = 0;
  readonly #options: SiteOptions;
  readonly #scratch: string;
  readonly #run: string;
  readonly #namespaces: string[];
  readonly #pods = new Map<string, string>();
  #agent: Beside | undefined;
  #pid = 0;
  #rows: RowWatch | undefined;

  private constructor(options: SiteOptions, run: string, api: ScaleApi) {
    this.#options = options;
    this.#run = run;
    this.#namespaces = [run];
    this.#scratch = mkdtempSync(join(tmpdir(), "weir-scale-"));
    this.api = api;
    this.client = new Client({ socket: this.#at("run/agent.sock") });
  }

  /** Creates the node and its API server, without the agent. */
  static async prepare(options: SiteOptions): Promise<Site> {
    const run = `weir-t${process.pid}-scale-${options.label}`;
    createNamespace(run);
    try {
      const netns = namespacePath(run);
      setLink("lo", { up: true }, netns);
      addAddress("lo", `${ADDRESS}/32`, {}, netns);
      await addRoutes(run, options.routes);
      return new Site(options, run, await ScaleApi.up(netns, options.seed));
    } catch (error) {
      removeNamespace(run);
      throw error;
    }
  }

  #at(name: string): string {
    return join(this.#scratch, name);
  }

  /** Starts the agent; resolves once it has read all objects and its state is `ready`. */
  async start(signal: AbortSignal): Promise<Start> {
    const config = {
      ...{ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", node: "node-1", uplink: "lo", addresses: [ADDRESS] },
      ...{ state: this.#at("state"), bpffs: this.#at("bpf"), socket: this.#at("run/agent.sock") },
      ...{ clusterCIDRs: CLUSTER, kubernetes: { kubeconfig: this.#at("kubeconfig") } },
    };
    writeFileSync(this.#at("agent.yaml"), JSON.stringify(config));
    writeFileSync(this.#at("kubeconfig"), JSON.stringify(this.api.kubeconfig));
    const begin = performance.now();
    const { command, env } = this.#options;
    this.#agent = startAgent(command, { netns: namespacePath(this.#run), config: this.#at("agent.yaml"), env });
    const status = await answers(
      this.#agent,
      async () => {
        const now = await this.client.status();
        return now.state === "starting" ? undefined : now;
      },
      signal,
    );
    const seconds = (performance.now() - begin) / 1000;
    if (status.state !== "ready") throw new Error(`start agent: it is ${status.state}: ${status.reason}`);
    this.#pid = status.pid;
    return { seconds, cpuSeconds: this.cpu() / 1000, peakMB: readPeak(this.#pid) / 1e6 };
  }

  /** Stops the agent, which removes what it created. */
  async stop(): Promise<void> {
    this.#rows?.close();
    this.#rows = undefined;
    await this.#agent?.stop();
    this.#agent = undefined;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.#pid, signal);
  }

  /** CPU time used by the agent, ms. */
  cpu(): number {
    return readCpuMs(this.#pid);
  }

  residentMB(): number {
    return readResident(this.#pid) / 1e6;
  }

  get rows(): RowWatch {
    this.#rows ??= RowWatch.open(this.#at("bpf/weir"));
    return this.#rows;
  }

  /** Waits until the agent is idle, then measures its idle CPU time for `ms`. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(SETTLE, undefined, { signal });
    const before = { cpu: this.cpu(), time: performance.now() };
    await sleep(ms, undefined, { signal });
    this.idle = (this.cpu() - before.cpu) / (performance.now() - before.time);
  }

  /** Attaches pods that the API server has, and reports their addresses like a kubelet. */
  async connect(pods: readonly PodShape[], signal: AbortSignal): Promise<void> {
    for (let from = 0; from < pods.length; from += TOGETHER) {
      signal.throwIfAborted();
      await Promise.all(pods.slice(from, from + TOGETHER).map((pod) => this.#connect(pod)));
    }
  }

  async #connect(pod: PodShape): Promise<void> {
    const { namespace, name, uid } = pod;
    const request = { uid, netns: this.#netnsOf(pod), ifname: "eth0" };
    const { ips } = await this.client.putEndpoint(namespace, name, request);
    this.api.put("pods", podObject({ ...pod, ips }));
  }

  /** Creates the pod's network namespace. Returns its path. */
  makeNamespace({ uid }: Pick<PodShape, "uid">): string {
    const full = `${this.#run}-${uid}`;
    const path = createNamespace(full);
    this.#namespaces.push(full);
    this.#pods.set(uid, path);
    return path;
  }

  #netnsOf(pod: PodShape): string {
    return this.#pods.get(pod.uid) ?? this.makeNamespace(pod);
  }

  /** Stops the agent and the API server and removes the namespaces. */
  async down(): Promise<void> {
    await this.stop();
    await this.api.close();
    for (const name of this.#namespaces) removeNamespace(name);
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

/** Adds routes to single addresses of 100.64.0.0/10. */
async function addRoutes(netns: string, count: number): Promise<void> {
  if (count === 0) return;
  const lines = Array.from({ length: count }, (_, i) => {
    const address = `100.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    return `route add ${address}/32 dev lo proto ${PROTOCOL}\n`;
  });
  await run(["ip", "-n", netns, "-batch", "-"], { input: lines.join("") });
}
