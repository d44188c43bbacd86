import type { ConfigMap, Ended, ManifestObject, Pod, Secret } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { type ManifestWatch, watchManifests } from "../sources/manifests/index.ts";
import type { BindingPlan } from "./binding.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import type { BoundPod } from "./pod-host.ts";
import type { ObjectSource } from "./source.ts";

/** A lab's objects from watched manifests and `weir lab apply`. */
export class ManifestSource implements ObjectSource {
  readonly #options: ClusterOptions;
  readonly #paths: readonly string[];
  readonly #cluster: Cluster;
  readonly #watches: ManifestWatch[] = [];
  readonly #abort = new AbortController();
  #pending: NodeJS.Immediate | undefined;
  #ended = "";

  constructor(options: ClusterOptions & { paths: readonly string[] }) {
    this.#options = options;
    this.#paths = options.paths;
    this.#cluster = new Cluster(options);
  }

  get bound(): ReadonlyMap<string, BoundPod> {
    return this.#cluster.bound;
  }

  get problems(): Problem[] {
    return [...this.#watches.flatMap((watch) => watch.snapshot().problems), ...this.#cluster.problems];
  }

  get configMaps(): ConfigMap[] {
    return this.#cluster.store.all.filter((one): one is ConfigMap => one.kind === "ConfigMap");
  }

  get secrets(): Secret[] {
    return this.#cluster.store.all.filter((one): one is Secret => one.kind === "Secret");
  }

  get objects(): readonly ManifestObject[] {
    return this.#cluster.store.all;
  }

  async open(): Promise<BindingPlan> {
    await Promise.all(this.#paths.map((path) => this.#watch(path)));
    return this.#cluster.reconcile();
  }

  async agentsReady(): Promise<void> {}

  put(objects: readonly ManifestObject[]): BindingPlan {
    this.#cluster.store.put(objects);
    return this.#cluster.reconcile();
  }

  remove(keys: readonly string[]): { removed: string[]; plan: BindingPlan } {
    const removed = this.#cluster.store.remove(keys);
    return { removed, plan: this.#cluster.reconcile() };
  }

  ownerOf(pod: string): string | undefined {
    return this.#cluster.ownerOf(pod);
  }

  preview(objects: readonly ManifestObject[], ofPods: (pods: readonly Pod[]) => Problem[]): Problem[] {
    return this.#cluster.preview(objects, ofPods);
  }

  addresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void {
    this.#cluster.addresses(bound, ips, ended);
  }

  /**
   * An ended pod may allow a job's next one, and a restarted container may exceed a job's limit. Runs once for all
   * changes of one turn of the event loop.
   */
  changed(): void {
    if (this.#pending !== undefined) return;
    this.#pending = setImmediate(() => {
      this.#pending = undefined;
      const { finished, restarts } = this.#options.kubelet;
      const ended = [...[...finished.keys()].sort(), ...[...restarts].map((one) => one.join(":"))].join();
      if (ended !== this.#ended) this.#cluster.reconcile();
      this.#ended = ended;
    });
  }

  async close(): Promise<void> {
    this.#abort.abort();
    clearImmediate(this.#pending);
    this.#cluster.close();
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  async #watch(path: string): Promise<void> {
    const follow = (keys: ReadonlySet<string>): void => {
      this.#cluster.store.follow(keys, watch.snapshot().objects);
      this.#cluster.reconcile();
    };
    const watch = watchManifests({ path, reader: "lab", onChange: follow, signal: this.#abort.signal });
    this.#watches.push(watch);
    await watch.synced;
    this.#cluster.store.put(watch.snapshot().objects);
  }
}
