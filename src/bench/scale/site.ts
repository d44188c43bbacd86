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
/** All networks of the cluster's pods, for agents that would else take fewer nodes' word. */
const CLUSTER = ["10.0.0.0/8", "fd00:10::/32"];
/** Routes of a routing daemon, of which the agent knows nothing: the kernel's number of BIRD. */
const PROTOCOL = "12";
/** An agent still works on the last reports of its pods for so long, ms. */
const SETTLE = 3000;
/** Pods whose network is asked for at once. */
const TOGETHER = 20;

export interface SiteOptions {
  /** The build's command with its first arguments. */
  command: readonly string[];
  env: NodeJS.ProcessEnv;
  /** Part of its namespaces' names. */
  label: string;
  /** What the API server has at first. */
  seed: Seed;
  /** Routes of others in the node's kernel. */
  routes: number;
}

/** How long an agent took from its start until all that it knows was in force, and what it used. */
export interface Start {
  seconds: number;
  cpuSeconds: number;
  peakMB: number;
}

/** One build's agent on a node of its own, with an API server of its own; its pods are namespaces without a process. */
export class Site {
  readonly client: Client;
  readonly api: ScaleApi;
  /** CPU ms in a ms, while nothing changes. */
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

  /** Makes the node and its API server; the agent is yet to be started. */
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

  /** Starts the agent; resolves once all objects are read and what follows from them is in force. */
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

  /** Ends the agent, which takes down what it made. */
  async stop(): Promise<void> {
    this.#rows?.close();
    this.#rows = undefined;
    await this.#agent?.stop();
    this.#agent = undefined;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.#pid, signal);
  }

  /** CPU time that the agent has used, ms. */
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

  /** Waits until the agent has settled, and takes its CPU while nothing changes as what it uses in this time after that. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(SETTLE, undefined, { signal });
    const before = { cpu: this.cpu(), time: performance.now() };
    await sleep(ms, undefined, { signal });
    this.idle = (this.cpu() - before.cpu) / (performance.now() - before.time);
  }

  /** Asks for the network of pods that the API server has, and reports their addresses as a kubelet does. */
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

  /** A network namespace for the pod, made before it is asked for. */
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

  /** Takes all of it down. */
  async down(): Promise<void> {
    await this.stop();
    await this.api.close();
    for (const name of this.#namespaces) removeNamespace(name);
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

/** Routes of 100.64.0.0/10, each of one address. */
async function addRoutes(netns: string, count: number): Promise<void> {
  if (count === 0) return;
  const lines = Array.from({ length: count }, (_, i) => {
    const address = `100.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    return `route add ${address}/32 dev lo proto ${PROTOCOL}\n`;
  });
  await run(["ip", "-n", netns, "-batch", "-"], { input: lines.join("") });
}
