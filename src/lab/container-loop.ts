import { setTimeout as sleep } from "node:timers/promises";
import type { Pod, Probe } from "../model/objects.ts";
import {
  type ContainerExit,
  type ContainerSpec,
  type RunningContainer,
  startContainer,
  stopContainer,
} from "./container.ts";
import { codeOf, messageOf } from "./errors.ts";
import { Health, type HealthOptions } from "./health.ts";
import type { ContainerStatus } from "./status.ts";

const FIRST_BACKOFF = 1000;
const LAST_BACKOFF = 60_000;
/** After a run of this length, ms, there is no back-off. */
const SETTLED_AFTER = 60_000;

/** True if a container that ended like this is restarted. */
export function restarts(policy: Pod["restartPolicy"], failed: boolean): boolean {
  return policy === "Always" || (policy === "OnFailure" && failed);
}

/** Delay before the nth restart in a row (counted from 0), ms. */
export function backoff(failures: number): number {
  return Math.min(FIRST_BACKOFF * 2 ** failures, LAST_BACKOFF);
}

/** Exit code as in a shell: 128 + n for signal n. */
export function exitCode(exit: ContainerExit, signals: Readonly<Record<string, number>>): number {
  return exit.code ?? 128 + (exit.signal === null ? 0 : (signals[exit.signal] ?? 0));
}

export interface ContainerLoopOptions {
  name: string;
  policy: Pod["restartPolicy"];
  /** Called for each start, so that changes of a ConfigMap take effect. */
  spec: () => ContainerSpec;
  log: string;
  signals: Readonly<Record<string, number>>;
  probes: HealthOptions["probes"];
  attempt: (
    probe: Probe,
    run: { spec: ContainerSpec; init: number },
    signal: AbortSignal,
  ) => Promise<string | undefined>;
  /** ms between SIGTERM and SIGKILL, unless a probe sets its own. */
  grace: number;
  onChange: () => void;
}

/** Runs one container repeatedly, as its pod's restart policy says, until `stop`. */
export class ContainerLoop {
  readonly #options: ContainerLoopOptions;
  readonly #abort = new AbortController();
  #running: RunningContainer | undefined;
  #restarts = 0;
  #exitCode: number | null = null;
  #reason: string | null = null;
  #failure: string | null = null;
  #startedAt: string | null = null;
  #finishedAt: string | null = null;
  #over = false;
  #health: Health | undefined;
  /** The probe failure because of which it was ended. */
  #killed: string | undefined;
  #done: Promise<void> = Promise.resolve();
  #waiting: (() => void)[] = [];

  constructor(options: ContainerLoopOptions) {
    this.#options = options;
  }

  /** Resolves when the first start has been attempted. */
  async start(): Promise<void> {
    await new Promise<void>((tried) => {
      this.#done = this.#loop(tried);
    });
  }

  /** Resolves when it will not be restarted, or has been stopped. */
  ended(): Promise<void> {
    return this.#done;
  }

  /** Resolves when it has started, will not be restarted, or `signal` is aborted. */
  async whenStarted(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake);
    while (!this.#over && !signal.aborted && this.#health?.started !== true)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    signal.removeEventListener("abort", wake);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  readonly #changed = (): void => {
    this.#wake();
    this.#options.onChange();
  };

  /** It has ended and will not be restarted. */
  get over(): boolean {
    return this.#over;
  }

  get exitCode(): number | null {
    return this.#exitCode;
  }

  get status(): ContainerStatus {
    const state = this.#running !== undefined ? "running" : this.#exitCode === null ? "waiting" : "exited";
    return {
      name: this.#options.name,
      state,
      pid: this.#running?.init ?? null,
      restarts: this.#restarts,
      exitCode: this.#exitCode,
      reason: this.#running === undefined ? this.#reason : (this.#health?.why ?? this.#reason),
      failure: this.#failure,
      startedAt: this.#startedAt,
      finishedAt: this.#finishedAt,
      over: this.#over,
      started: this.#health?.started ?? false,
      ready: this.#health?.ready ?? false,
      log: this.#options.log,
    };
  }

  async stop(grace: number): Promise<void> {
    this.#abort.abort();
    this.#health?.close(); // Probes stop when the container is being ended.
    if (this.#running !== undefined) await stopContainer(this.#running, grace).catch(() => {});
    await this.#done;
  }

  async #loop(tried: () => void): Promise<void> {
    const { policy } = this.#options;
    for (let failures = 0; !this.#abort.signal.aborted; failures++) {
      const startedAt = Date.now();
      const failed = await this.#once(tried);
      this.#running = undefined;
      if (Date.now() - startedAt > SETTLED_AFTER) failures = 0;
      this.#over = !restarts(policy, failed);
      this.#changed();
      if (this.#over || this.#abort.signal.aborted) return;
      await sleep(backoff(failures), undefined, { signal: this.#abort.signal }).catch(() => {});
      this.#restarts++;
    }
  }

  /** One run. Returns whether it failed. */
  async #once(tried: () => void): Promise<boolean> {
    const { signals } = this.#options;
    try {
      const spec = this.#options.spec();
      const running = await startContainer(spec);
      this.#running = running;
      this.#reason = null;
      this.#failure = null;
      this.#killed = undefined;
      this.#startedAt = new Date().toISOString();
      this.#health = this.#watch(running, spec);
      tried();
      this.#changed();
      if (this.#abort.signal.aborted) running.child.kill("SIGKILL");
      const exit = await running.exited;
      this.#finishedAt = new Date().toISOString();
      this.#exitCode = exitCode(exit, signals);
      this.#reason = this.#killed ?? exit.signal ?? `exit code ${exit.code}`;
      return this.#killed !== undefined || this.#exitCode !== 0;
    } catch (error) {
      this.#exitCode = 128;
      this.#reason = messageOf(error);
      this.#failure = codeOf(error) ?? "internal";
      tried();
      return true;
    } finally {
      this.#health?.close();
      this.#health = undefined;
    }
  }

  #watch(running: RunningContainer, spec: ContainerSpec): Health {
    const { probes, attempt, grace } = this.#options;
    return new Health({
      probes,
      attempt: (probe, signal) => attempt(probe, { spec, init: running.init }, signal),
      onChange: this.#changed,
      onFailed: ({ terminationGracePeriodSeconds: own }, why) => {
        this.#killed = why;
        stopContainer(running, own === undefined ? grace : own * 1000).catch(() => {}); // Its exit is awaited elsewhere.
      },
    });
  }
}
