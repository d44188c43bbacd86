import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, ClientError } from "../api/client.ts";
import type { ResolvedContainer } from "../model/environment.ts";
import type { ConfigMap, Container, Ended, Pod } from "../model/objects.ts";
import { createCgroup, removeCgroup } from "./cgroups.ts";
import type { ContainerSpec } from "./container.ts";
import { ContainerLoop } from "./container-loop.ts";
import { messageOf } from "./errors.ts";
import type { Images } from "./images.ts";
import { launchOf } from "./launch.ts";
import type { Limiter } from "./limiter.ts";
import { netnsPath } from "./names.ts";
import { imageRoot, machineRoot, makeWorkingDir } from "./rootfs.ts";
import { ipBatch } from "./run.ts";
import type { Phase, PodStatus } from "./status.ts";
import { arrange, type Binding, bindVolumes } from "./volumes.ts";

/** A pod bound to a node, with the identity that the lab gave it. */
export interface BoundPod {
  pod: Pod;
  uid: string;
  node: string;
  resourceVersion: string;
}

/** What a pod needs of the lab around it. */
export interface PodHost {
  /** Directory of this pod. */
  dir: string;
  netns: string;
  cgroup: string;
  homeCgroup: string;
  /** Addresses of the node: those of pods that use its network. */
  nodeAddresses: readonly string[];
  agent: Client;
  images: Images;
  /** The container with ConfigMaps and the pod's own fields filled in; its problems say what is missing. */
  resolve(bound: BoundPod, container: Container, ips: readonly string[]): ResolvedContainer;
  configMaps(): readonly ConfigMap[];
  limiter: Limiter;
  onChange(): void;
  /** The pod has been given its addresses, or has ended and gives them back. */
  onAddresses(bound: BoundPod, ips: readonly string[], ended?: Ended): void;
}

/** How long a command may take to end after SIGTERM, ms. */
const GRACE = 1500;

/** Brings one pod to life on its node and takes it away again. */
export class PodWorker {
  readonly #host: PodHost;
  readonly #abort = new AbortController();
  readonly #loops: ContainerLoop[] = [];
  #bound: BoundPod;
  #ips: readonly string[] = [];
  #message: string | undefined = "waiting to be started";
  #settled = false;
  #life: Promise<void> = Promise.resolve();
  /** Of one that has ended: whether its network is given back. */
  #release: Promise<boolean> | undefined;

  constructor(host: PodHost, bound: BoundPod) {
    this.#host = host;
    this.#bound = bound;
  }

  get bound(): BoundPod {
    return this.#bound;
  }

  /** New labels or annotations: nothing of the pod's own is touched. */
  update(bound: BoundPod): void {
    this.#bound = bound;
  }

  /** Have all containers been tried once? */
  get settled(): boolean {
    return this.#settled;
  }

  get status(): PodStatus {
    const { metadata, hostNetwork } = this.#bound.pod;
    const containers = this.#loops.map((loop) => loop.status);
    const failing = containers.find((one) => one.state !== "running" && one.exitCode !== 0 && one.reason !== null);
    return {
      namespace: metadata.namespace,
      name: metadata.name,
      uid: this.#bound.uid,
      node: this.#bound.node,
      phase: this.#phase(),
      ips: this.#ips,
      hostNetwork,
      resourceVersion: this.#bound.resourceVersion,
      netns: this.#host.netns,
      cgroup: this.#host.cgroup,
      message: this.#message ?? (failing === undefined ? null : `container ${failing.name}: ${failing.reason}`),
      containers,
    };
  }

  #phase(): Phase {
    if (!this.#settled) return "Pending";
    if (!this.#loops.every((loop) => loop.over)) return "Running";
    return this.#loops.every((loop) => loop.exitCode === 0) ? "Succeeded" : "Failed";
  }

  start(): void {
    this.#life = this.#host.limiter
      .run(() => this.#setUp())
      .catch((error) => this.#say(this.#abort.signal.aborted ? "stopped" : messageOf(error)));
  }

  /**
   * Ends the containers with `grace` ms to do so, gives the network back, removes what `start` made. Never throws; says
   * what is left.
   */
  async stop(grace = GRACE): Promise<string[]> {
    this.#abort.abort();
    await this.#life;
    const left: string[] = [];
    const attempt = async (step: () => unknown): Promise<void> => {
      try {
        await step();
      } catch (error) {
        left.push(messageOf(error));
      }
    };
    await Promise.all(this.#loops.map((loop) => attempt(() => loop.stop(grace))));
    await attempt(() => removeCgroup(this.#host.cgroup));
    if (!(await this.#release) && !this.#bound.pod.hostNetwork) {
      await attempt(() => this.#giveBack());
      await attempt(() => ipBatch([`netns del ${this.#host.netns}`]));
    }
    await attempt(() => rmSync(this.#host.dir, { recursive: true, force: true }));
    return left;
  }

  #say(message: string | undefined): void {
    this.#message = message;
    this.#changed();
  }

  /** One that has ended needs no network: its addresses and its limits are for others. */
  #changed(): void {
    const phase = this.#phase();
    const ended = phase === "Succeeded" || phase === "Failed" ? phase : undefined;
    if (ended && !this.#release && !this.#abort.signal.aborted) this.#release = this.#end(ended);
    this.#host.onChange();
  }

  /** False if it is left to `stop`. */
  async #end(ended: Ended): Promise<boolean> {
    this.#host.onAddresses(this.#bound, [], ended);
    if (this.#bound.pod.hostNetwork) return true;
    try {
      await this.#giveBack();
      await ipBatch([`netns del ${this.#host.netns}`]);
      return true;
    } catch {
      return false;
    }
  }

  async #setUp(): Promise<void> {
    const { pod } = this.#bound;
    mkdirSync(this.#host.dir, { recursive: true, mode: 0o700 });
    createCgroup(this.#host.cgroup);
    this.#ips = pod.hostNetwork ? this.#host.nodeAddresses : await this.#network();
    this.#host.onAddresses(this.#bound, this.#ips);
    this.#say("waiting for its containers");
    const hosts = `${this.#host.dir}/hosts`;
    writeFileSync(hosts, hostsFile(pod.metadata.name, this.#ips), { mode: 0o644 });
    for (const container of pod.containers) this.#loops.push(this.#loop(container, hosts));
    await Promise.all(this.#loops.map((loop) => loop.start()));
    this.#settled = true;
    this.#say(undefined);
  }

  async #network(): Promise<readonly string[]> {
    const { uid, pod } = this.#bound;
    const { namespace, name } = pod.metadata;
    await ipBatch([`netns add ${this.#host.netns}`]);
    await ipBatch(["link set lo up"], { netns: this.#host.netns });
    this.#say("waiting for its node's agent");
    const spec = { uid, netns: netnsPath(this.#host.netns), ifname: "eth0" };
    const endpoint = await this.#insist(() => this.#host.agent.putEndpoint(namespace, name, spec), 60_000);
    return endpoint.ips;
  }

  /** Gives this pod's network back; a namesake's stays. */
  #giveBack(): Promise<void> {
    const { uid, pod } = this.#bound;
    const { namespace, name } = pod.metadata;
    const which = { uid, netns: netnsPath(this.#host.netns) };
    return this.#insist(() => this.#host.agent.deleteEndpoint(namespace, name, which), 5000);
  }

  /** Calls the agent until it answers: one that is being started again is not there for a moment. */
  async #insist<T>(call: () => Promise<T>, patience: number): Promise<T> {
    const deadline = Date.now() + patience;
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      try {
        return await call();
      } catch (error) {
        const refused = error instanceof ClientError && error.status !== undefined && error.status < 500;
        if (refused || Date.now() > deadline) throw error;
        if (error instanceof ClientError && error.status !== undefined) this.#say(error.message);
        await sleep(pause);
      }
    }
  }

  #loop(container: Container, hosts: string): ContainerLoop {
    const dir = `${this.#host.dir}/${container.name}`;
    const log = `${dir}/log`;
    mkdirSync(dir, { recursive: true });
    return new ContainerLoop({
      name: container.name,
      policy: this.#bound.pod.restartPolicy,
      log,
      signals: constants.signals as Readonly<Record<string, number>>,
      onChange: () => this.#changed(),
      spec: () => this.#spec(container, dir, hosts, log),
    });
  }

  #spec(container: Container, dir: string, hosts: string, log: string): ContainerSpec {
    const { pod } = this.#bound;
    const resolved = this.#host.resolve(this.#bound, container, this.#ips);
    const launch = launchOf(pod, container, this.#host.images, resolved);
    const bindings: Binding[] = [
      { source: hosts, target: "/etc/hosts", directory: false, readOnly: false },
      ...bindVolumes(pod, container, this.#host.configMaps(), { pod: this.#host.dir, container: dir }),
    ];
    const { image, workingDir } = launch;
    const more = makeWorkingDir(workingDir, { dir, image: image !== undefined, bindings });
    const mounted = arrange([...bindings, ...more]);
    const root =
      image === undefined ? machineRoot(dir, mounted) : imageRoot(dir, { lower: image.lower, workingDir }, mounted);
    return {
      dir,
      netns: netnsPath(this.#host.netns),
      cgroup: this.#host.cgroup,
      homeCgroup: this.#host.homeCgroup,
      hostname: pod.hostNetwork ? this.#bound.node : pod.metadata.name.slice(0, 63),
      argv: launch.argv,
      env: launch.env,
      workingDir,
      rootfs: root.rootfs,
      image: image !== undefined,
      mounts: root.mounts,
      log,
    };
  }
}

/** The pod's /etc/hosts: its own name on its addresses. */
export function hostsFile(name: string, ips: readonly string[]): string {
  const own = ips.map((ip) => `${ip} ${name}\n`).join("");
  return `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${own}`;
}
