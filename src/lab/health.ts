import type { Container, Probe } from "../model/objects.ts";
import { messageOf } from "./errors.ts";
import { limited, pause } from "./time.ts";

type Kind = "startup" | "liveness" | "readiness";

export interface HealthOptions {
  probes: Pick<Container, "startupProbe" | "livenessProbe" | "readinessProbe">;
  /**
   * Makes one attempt; resolves to the reason of a failure, or undefined; rejects if it cannot be made. `signal` aborts
   * it.
   */
  attempt: (probe: Probe, signal: AbortSignal) => Promise<string | undefined>;
  /** Called when the state has changed. */
  onChange: () => void;
  /** Called once, when the container must be ended. */
  onFailed: (probe: Probe, why: string) => void;
}

/**
 * The state of one run of a container by its probes, as in a kubelet: the startup probe first, the others once it has
 * succeeded. Delays count from the container's start.
 */
export class Health {
  readonly #options: HealthOptions;
  readonly #abort = new AbortController();
  readonly #begin = performance.now();
  #started: boolean;
  #ready: boolean;
  #why: string | null = null;

  constructor(options: HealthOptions) {
    this.#options = options;
    const { startupProbe, readinessProbe } = options.probes;
    this.#started = startupProbe === undefined;
    this.#ready = readinessProbe === undefined;
    if (startupProbe === undefined) this.#go();
    else void this.#watch("startup", startupProbe);
  }

  get started(): boolean {
    return this.#started;
  }

  get ready(): boolean {
    return this.#started && this.#ready;
  }

  /** Why it is not ready; null if no probe has failed. */
  get why(): string | null {
    return this.#why;
  }

  close(): void {
    this.#abort.abort();
  }

  #go(): void {
    const { livenessProbe, readinessProbe } = this.#options.probes;
    if (livenessProbe !== undefined) void this.#watch("liveness", livenessProbe);
    if (readinessProbe !== undefined) void this.#watch("readiness", readinessProbe);
  }

  async #watch(kind: Kind, probe: Probe): Promise<void> {
    const { signal } = this.#abort;
    await pause(probe.initialDelaySeconds * 1000 - (performance.now() - this.#begin), signal);
    let passed: boolean | undefined;
    for (let row = 1; !signal.aborted; row++) {
      const begin = performance.now();
      const why = await this.#attempt(probe);
      if (signal.aborted) return;
      if (passed !== (why === undefined)) row = 1;
      passed = why === undefined;
      const enough = row >= (passed ? probe.successThreshold : probe.failureThreshold);
      if (enough && this.#settle(kind, probe, why)) return;
      await pause(probe.periodSeconds * 1000 - (performance.now() - begin), signal);
    }
  }

  async #attempt(probe: Probe): Promise<string | undefined> {
    const { attempt } = this.#options;
    const ms = probe.timeoutSeconds * 1000;
    return limited(ms, this.#abort.signal, async (signal) => {
      const why = await attempt(probe, signal).catch(messageOf);
      return why !== undefined && signal.aborted ? `no answer after ${probe.timeoutSeconds} s` : why;
    });
  }

  /** Acts on a result. Returns whether the probe is finished. */
  #settle(kind: Kind, probe: Probe, why: string | undefined): boolean {
    if (kind === "readiness") {
      this.#set(why === undefined, why === undefined ? null : `readiness probe: ${why}`);
      return false;
    }
    if (why !== undefined) {
      this.close();
      this.#options.onFailed(probe, `${kind} probe failed: ${why}`);
      return true;
    }
    if (kind === "liveness") return false;
    this.#started = true;
    this.#go();
    this.#options.onChange();
    return true;
  }

  #set(ready: boolean, why: string | null): void {
    if (ready === this.#ready && why === this.#why) return;
    this.#ready = ready;
    this.#why = why;
    this.#options.onChange();
  }
}
