import { mkdirSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "../api/client.ts";
import type { Container, Ended, Pod } from "../model/objects.ts";
import { createCgroup, removeCgroup } from "./cgroups.ts";
import { ContainerLoop } from "./container-loop.ts";
import { containerSpec, setSysctls, writeHosts } from "./container-spec.ts";
import { messageOf } from "./errors.ts";
import { netnsPath } from "./names.ts";
import type { BoundPod, PodHost } from "./pod-host.ts";
import { attempt } from "./probe.ts";
import { ipBatch } from "./run.ts";
import type { ContainerStatus, Phase, PodStatus } from "./status.ts";
import { pause } from "./time.ts";

/** Grace period of pods that set none, s; as in Kubernetes. */
const GRACE = 30;

/** Creates one pod on its node and removes it again. */
export class PodWorker {
  readonly #host: PodHost;
  readonly #abort = new AbortController();
  readonly #inits: ContainerLoop[] = [];
  /** Init containers that keep running beside the others. */
  readonly #sidecars: ContainerLoop[] = [];
  readonly #loops: ContainerLoop[] = [];
  #bound: BoundPod;
  #ips: readonly string[] = [];
  #message: string | undefined = "waiting to be started";
  #settled = false;
  /** No sidecar runs or will run. */
  #retired = false;
  /** Why the pod ended before its containers did. */
  #failure: { reason: string; message: string } | undefined;
  #life: Promise<void> = Promise.resolve();
  /** The pod is being removed. */
  #stopping = false;
  /** Set when the pod has ended: resolves to whether its network has been released. */
  #release: Promise<boolean> | undefined;

  constructor(host: PodHost, bound: BoundPod) {
    this.#host = host;
    this.#bound = bound;
  }

  get bound(): BoundPod {
    return this.#bound;
  }

  /** New labels or annotations; containers and network do not change. */
  update(bound: BoundPod): void {
    this.#bound = bound;
  }

  /** True if a start of every container has been attempted. */
  get settled(): boolean {
    return this.#settled;
  }

  get status(): PodStatus {
    const { metadata, hostNetwork } = this.#bound.pod;
    const initContainers = [...this.#inits, ...this.#sidecars].map((loop) => loop.status);
    const containers = this.#loops.map((loop) => loop.status);
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
      message: this.#failure?.message ?? this.#trouble ?? this.#message ?? null,
      reason: this.#failure?.reason ?? null,
      ready: this.#settled && this.#failure === undefined && containers.every((one) => !isUnready(one)),
      initContainers,
      containers,
    };
  }

  #phase(): Phase {
    if (this.#failure !== undefined) return "Failed";
    if (!this.#settled) return "Pending";
    if (!this.#over) return "Running";
    return this.#loops.every((loop) => loop.exitCode === 0) ? "Succeeded" : "Failed";
  }

  get #over(): boolean {
    return this.#settled && this.#retired && this.#loops.every((loop) => loop.over);
  }

  /** The first problem of its containers. */
  get #trouble(): string | undefined {
    const beside = this.#over ? [] : [...this.#inits, ...this.#sidecars];
    return troubleOf([...beside, ...this.#loops].map((loop) => loop.status));
  }

  get #grace(): number {
    return (this.#bound.pod.terminationGracePeriodSeconds ?? GRACE) * 1000;
  }

  start(): void {
    this.#life = this.#run().catch((error) => this.#say(this.#abort.signal.aborted ? "stopped" : messageOf(error)));
    const { activeDeadlineSeconds: deadline } = this.#bound.pod;
    if (deadline !== undefined) void this.#expire(deadline * 1000);
  }

  /**
   * Ends the containers within `grace` ms, releases the network, and removes everything that `start` created. Never
   * throws; returns what could not be removed.
   */
  async stop(grace = this.#grace): Promise<string[]> {
    this.#stopping = true;
    const left: string[] = [];
    const attemptTo = async (step: () => unknown): Promise<void> => {
      try {
        await step();
      } catch (error) {
        left.push(messageOf(error));
      }
    };
    await attemptTo(() => this.#end(grace));
    await attemptTo(() => removeCgroup(this.#host.cgroup));
    if (!(await this.#release) && !this.#bound.pod.hostNetwork) {
      await attemptTo(() => this.#giveBack());
      await attemptTo(() => ipBatch([`netns del ${this.#host.netns}`]));
    }
    await attemptTo(() => rmSync(this.#host.dir, { recursive: true, force: true }));
    return left;
  }

  /** Ends all containers for good, sidecars last. */
  async #end(grace: number): Promise<void> {
    const deadline = performance.now() + grace;
    this.#abort.abort();
    await Promise.all(this.#inits.map((loop) => loop.stop(grace)));
    await this.#life;
    await Promise.all([...this.#inits, ...this.#loops].map((loop) => loop.stop(deadline - performance.now())));
    await this.#endSidecars(deadline);
  }

  async #endSidecars(deadline: number): Promise<void> {
    for (const loop of [...this.#sidecars].reverse()) await loop.stop(Math.max(0, deadline - performance.now()));
  }

  async #expire(ms: number): Promise<void> {
    await pause(ms, this.#abort.signal);
    if (this.#abort.signal.aborted || this.#over) return;
    await this.#end(this.#grace);
    this.#fail("DeadlineExceeded", "was active longer than activeDeadlineSeconds");
  }

  #fail(reason: string, message: string): void {
    this.#failure = { reason, message };
    this.#changed();
  }

  #say(message: string | undefined): void {
    this.#message = message;
    this.#changed();
  }

  /** An ended pod needs no network: its addresses and limits become free. */
  #changed(): void {
    const phase = this.#phase();
    const ended = phase === "Succeeded" || phase === "Failed" ? phase : undefined;
    if (ended && !this.#release && !this.#stopping) this.#release = this.#releaseNetwork(ended);
    this.#host.onChange();
  }

  /** False if `stop` must do it. */
  async #releaseNetwork(ended: Ended): Promise<boolean> {
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

  async #run(): Promise<void> {
    const { limiter } = this.#host;
    const { signal } = this.#abort;
    await limiter.run(() => this.#prepare());
    if (!(await this.#initialise()) || signal.aborted) return;
    const { containers, restartPolicy } = this.#bound.pod;
    this.#say("waiting for its containers");
    await limiter.run(async () => {
      for (const container of containers) this.#loops.push(this.#loop(container, restartPolicy));
      await Promise.all(this.#loops.map((loop) => loop.start()));
    });
    this.#settled = true;
    this.#retired = this.#sidecars.length === 0;
    this.#say(undefined);
    if (!this.#retired) void this.#retire();
  }

  async #prepare(): Promise<void> {
    const { pod } = this.#bound;
    mkdirSync(this.#host.dir, { recursive: true, mode: 0o700 });
    createCgroup(this.#host.cgroup);
    this.#ips = pod.hostNetwork ? this.#host.nodeAddresses : await this.#network();
    this.#host.onAddresses(this.#bound, this.#ips);
    writeHosts(this.#host, pod, this.#ips);
  }

  /** Runs the init containers in sequence. Returns whether the other containers may start. */
  async #initialise(): Promise<boolean> {
    for (const container of this.#bound.pod.initContainers ?? []) {
      if (this.#abort.signal.aborted) return false;
      const failed = await (container.restartPolicy === "Always" ? this.#beside(container) : this.#before(container));
      if (failed === undefined || this.#abort.signal.aborted) continue;
      await this.#endSidecars(performance.now() + this.#grace);
      this.#fail("InitContainerFailed", `init container ${container.name}: ${failed}`);
      return false;
    }
    return true;
  }

  /** Runs an init container until it succeeds. Returns the reason if it failed and is not retried. */
  async #before(container: Container): Promise<string | undefined> {
    const loop = this.#loop(container, this.#bound.pod.restartPolicy === "Never" ? "Never" : "OnFailure");
    this.#inits.push(loop);
    await this.#startInit(loop, container);
    await loop.ended();
    return loop.exitCode === 0 ? undefined : (loop.status.reason ?? "not run");
  }

  /** Starts a sidecar, and waits until it has started. */
  async #beside(container: Container): Promise<undefined> {
    const loop = this.#loop(container, "Always");
    this.#sidecars.push(loop);
    await this.#startInit(loop, container);
    await loop.whenStarted(this.#abort.signal);
  }

  async #startInit(loop: ContainerLoop, { name }: Container): Promise<void> {
    this.#say(`waiting for init container ${name}`);
    await this.#host.limiter.run(() => loop.start());
  }

  /** Ends the sidecars once all other containers have ended. */
  async #retire(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.ended()));
    if (this.#abort.signal.aborted) return;
    await this.#endSidecars(performance.now() + this.#grace);
    this.#retired = true;
    this.#changed();
  }

  async #network(): Promise<readonly string[]> {
    const { uid, pod } = this.#bound;
    const { namespace, name } = pod.metadata;
    await ipBatch([`netns add ${this.#host.netns}`]);
    await ipBatch(["link set lo up"], { netns: this.#host.netns });
    await setSysctls(this.#host.netns, pod);
    this.#say("waiting for its node's agent");
    const spec = { uid, netns: netnsPath(this.#host.netns), ifname: "eth0" };
    const endpoint = await this.#insist(() => this.#host.agent.putEndpoint(namespace, name, spec), 60_000);
    return endpoint.ips;
  }

  /** Releases this pod's network; that of another pod of the same name stays. */
  #giveBack(): Promise<void> {
    const { uid, pod } = this.#bound;
    const { namespace, name } = pod.metadata;
    const which = { uid, netns: netnsPath(this.#host.netns) };
    return this.#insist(() => this.#host.agent.deleteEndpoint(namespace, name, which), 5000);
  }

  /** Repeats a call until the agent answers: an agent that is being restarted is absent for a moment. */
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

  #loop(container: Container, policy: Pod["restartPolicy"]): ContainerLoop {
    const dir = `${this.#host.dir}/containers/${container.name}`;
    mkdirSync(dir, { recursive: true });
    const { homeCgroup, nodeNetns } = this.#host;
    const netns = netnsPath(nodeNetns);
    return new ContainerLoop({
      name: container.name,
      policy,
      log: `${dir}/log`,
      signals: constants.signals as Readonly<Record<string, number>>,
      probes: container,
      attempt: (probe, { spec: { cgroup, env }, init }, signal) =>
        attempt({ container, init, cgroup, homeCgroup, env, netns, ip: this.#ips[0] ?? "" }, probe, signal),
      grace: this.#grace,
      onChange: () => this.#changed(),
      spec: () => containerSpec({ host: this.#host, bound: this.#bound, ips: this.#ips }, container, dir),
    });
  }
}

const isUnready = (one: ContainerStatus): boolean => one.state === "running" && !one.ready;

function troubleOf(containers: readonly ContainerStatus[]): string | undefined {
  const failing = containers.find((one) => one.state !== "running" && one.exitCode !== 0 && one.reason !== null);
  if (failing !== undefined) return `container ${failing.name}: ${failing.reason}`;
  const unready = containers.find(isUnready);
  const what = unready?.started ? "is not ready" : "has not started";
  return unready && `container ${unready.name} ${what}${unready.reason === null ? "" : ` (${unready.reason})`}`;
}
