import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { Client } from "../api/client.ts";
import { addAddress, createNamespace, namespacePath, removeNamespace } from "../kernel/index.ts";
import { manifests, type PodSpec } from "./pods.ts";
import { type Beside, start } from "./weir.ts";

const ADDRESS = "192.0.2.1";

/** Starts an agent in a network namespace. @param config path of its configuration file */
export function startAgent(
  weir: readonly string[],
  { netns, config, env }: { netns: string; config: string; env?: NodeJS.ProcessEnv | undefined },
): Beside {
  return start(["nsenter", `--net=${netns}`, "--", ...weir, "agent", "--config", config], { env });
}

/** Calls `ask` until it returns an answer. Rejects with the agent's stderr if the agent ends before. */
export async function answers<T>(agent: Beside, ask: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
  const died = agent.ended.then(({ stderr }) => Promise.reject(new Error(`start an agent: ${stderr}`)));
  died.catch(() => {});
  for (;;) {
    const answer = await Promise.race([died, ask().catch(() => undefined)]);
    if (answer !== undefined) return answer;
    await sleep(50, undefined, { signal });
  }
}

/** An agent with more pods than a lab's node has addresses. Its pods are namespaces without a process. */
export class LoneAgent {
  readonly client: Client;
  readonly #scratch = mkdtempSync(join(tmpdir(), "weir-lone-"));
  readonly #folder = join(this.#scratch, "manifests");
  readonly #run = `weir-t${process.pid}-lone`;
  readonly #namespaces: string[] = [];
  #agent: Beside | undefined;

  private constructor() {
    mkdirSync(this.#folder);
    this.client = new Client({ socket: join(this.#scratch, "run", "agent.sock") });
  }

  /** Resolves once all pods' networks and rules are in force. Removes everything if that fails. */
  static async up(weir: readonly string[], pods: readonly PodSpec[], signal: AbortSignal): Promise<LoneAgent> {
    const lone = new LoneAgent();
    try {
      for (const pod of pods) lone.write(pod);
      await lone.#start(weir, signal);
      for (const [i, { name }] of pods.entries()) {
        const netns = namespacePath(lone.#namespace(`${i}`));
        await lone.client.putEndpoint("default", name, { uid: `u-${name}`, netns, ifname: "eth0" });
        signal.throwIfAborted();
      }
    } catch (error) {
      await lone.down();
      throw error;
    }
    return lone;
  }

  /** Writes a pod to the watched folder. */
  write(pod: PodSpec): void {
    const beside = join(this.#scratch, "new");
    writeFileSync(beside, manifests([pod]));
    renameSync(beside, join(this.#folder, `${pod.name}.yaml`));
  }

  async #start(weir: readonly string[], signal: AbortSignal): Promise<void> {
    const inside = (name: string): string => join(this.#scratch, name);
    const node = this.#namespace("node");
    addAddress("lo", `${ADDRESS}/32`, {}, namespacePath(node));
    const config = {
      ...{ apiVersion: "weir.dev/v1alpha1", kind: "AgentConfig", node: "node-1", uplink: "lo", addresses: [ADDRESS] },
      ...{ state: inside("state"), bpffs: inside("bpf"), socket: join(inside("run"), "agent.sock") },
      ...{ podCIDRs: ["10.244.0.0/16", "fd00:10:244::/64"], manifests: this.#folder },
    };
    writeFileSync(inside("agent.yaml"), stringify(config));
    this.#agent = startAgent(weir, { netns: namespacePath(node), config: inside("agent.yaml") });
    await answers(this.#agent, () => this.client.status(), signal);
  }

  #namespace(name: string): string {
    const full = `${this.#run}-${name}`;
    createNamespace(full);
    this.#namespaces.push(full);
    return full;
  }

  /** Stops the agent, which removes what it created, and removes the namespaces. */
  async down(): Promise<void> {
    await this.#agent?.stop();
    for (const name of this.#namespaces) removeNamespace(name);
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}
