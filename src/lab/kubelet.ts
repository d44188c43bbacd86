import type { Client } from "../api/client.ts";
import type { ResolvedContainer } from "../model/environment.ts";
import { podKey } from "../model/names.ts";
import type { ConfigMap, Container } from "../model/objects.ts";
import type { Finished } from "../model/workloads/index.ts";
import type { Images } from "./images.ts";
import { Limiter } from "./limiter.ts";
import { type LabNames, type NodeNames, podNetns } from "./names.ts";
import { PodWorker } from "./pod.ts";
import type { BoundPod, PodHost } from "./pod-host.ts";
import type { PodStatus } from "./status.ts";

/** Number of pods that are set up at a time. More would only wait for the agents and for the kernel's RTNL lock. */
const AT_A_TIME = 8;

export interface KubeletOptions {
  lab: LabNames;
  /** Absolute path of the lab's cgroup. */
  cgroup: string;
  homeCgroup: string;
  nodes: readonly NodeNames[];
  agents: ReadonlyMap<string, Client>;
  images: Images;
  resolve(bound: BoundPod, container: Container, ips: readonly string[]): ResolvedContainer;
  configMaps(): readonly ConfigMap[];
  onChange(): void;
  onAddresses: PodHost["onAddresses"];
  onLeft(message: string): void;
}

/** Runs the pods bound to the lab's nodes. Operations on pods of one name run in sequence, all others in parallel. */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #limiter = new Limiter(AT_A_TIME);
  readonly #workers = new Map<string, PodWorker>();
  /** The last operation of each name. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  get pods(): PodStatus[] {
    return [...this.#workers.values()].map((worker) => worker.status).sort(byName);
  }

  /** How pods have ended, by uid. */
  get finished(): Finished {
    const ended = new Map<string, "Succeeded" | "Failed">();
    for (const { uid, phase } of this.pods) if (phase === "Succeeded" || phase === "Failed") ended.set(uid, phase);
    return ended;
  }

  /** Number of container restarts, by the pods' uids. */
  get restarts(): ReadonlyMap<string, number> {
    const counts = this.pods.map(({ uid, containers, initContainers }): [string, number] => {
      const all = [...initContainers, ...containers];
      return [uid, all.reduce((sum, one) => sum + one.restarts, 0)];
    });
    return new Map(counts.filter(([, count]) => count > 0));
  }

  worker(key: string): PodWorker | undefined {
    return this.#workers.get(key);
  }

  create(bound: BoundPod): void {
    const key = podKey(bound.pod.metadata);
    this.#inTurn(key, async () => {
      const worker = new PodWorker(this.#host(bound), bound);
      this.#workers.set(key, worker);
      worker.start();
      this.#options.onChange();
    });
  }

  update(bound: BoundPod): void {
    const key = podKey(bound.pod.metadata);
    this.#inTurn(key, async () => this.#workers.get(key)?.update(bound));
  }

  /**
   * Ends a pod, with `grace` ms between SIGTERM and SIGKILL. Resolves with its last status, once everything of it is
   * removed.
   */
  async remove(bound: BoundPod, grace?: number): Promise<PodStatus | undefined> {
    const key = podKey(bound.pod.metadata);
    let last: PodStatus | undefined;
    await this.#inTurn(key, async () => {
      const worker = this.#workers.get(key);
      const left = (await worker?.stop(grace)) ?? [];
      last = worker?.status;
      this.#workers.delete(key);
      for (const message of left) this.#options.onLeft(`remove pod ${key}: ${message}`);
      this.#options.onChange();
    });
    return last;
  }

  /** Resolves when all operations requested so far for this name have completed. */
  async quiet(key: string): Promise<void> {
    await this.#turns.get(key);
  }

  #inTurn(key: string, task: () => Promise<void> | void): Promise<void> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(task).finally(() => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    });
    this.#turns.set(key, turn);
    return turn;
  }

  #host(bound: BoundPod): PodHost {
    const { lab, cgroup, homeCgroup, nodes, agents, images, resolve, configMaps, onChange, onAddresses } =
      this.#options;
    const node = nodes.find((one) => one.name === bound.node);
    const agent = agents.get(bound.node);
    if (node === undefined || agent === undefined) throw new Error(`no node ${bound.node}`);
    const { namespace, name } = bound.pod.metadata;
    return {
      dir: `${lab.dir}/pods/${bound.uid}`,
      netns: bound.pod.hostNetwork ? node.netns : podNetns(lab, namespace, name),
      cgroup: `${cgroup}/${node.name}/pod${bound.uid}`,
      homeCgroup,
      nodeNetns: node.netns,
      nodeAddresses: node.addresses.map((address) => address.slice(0, address.indexOf("/"))),
      agent,
      images,
      resolve,
      configMaps,
      limiter: this.#limiter,
      onChange,
      onAddresses,
    };
  }
}

function byName(a: PodStatus, b: PodStatus): number {
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
