import type { Outcomes } from "./outcomes.ts";

/**
 * Steers the flows that devices receive from queues: each flow to one processor, so that its packets keep their order.
 * Limits and delays work without it, so a refusal is only a warning.
 */
export class Steering {
  readonly #outcomes: Outcomes;
  readonly #steer: (device: string) => string | undefined;
  /** Indexes of devices that were tried, by name; 0: to be tried again. */
  readonly #tried = new Map<string, number>();

  /** @param steer returns the reason if it fails */
  constructor(outcomes: Outcomes, steer: (device: string) => string | undefined) {
    this.#outcomes = outcomes;
    this.#steer = steer;
  }

  /** Steers each device once, and again when it is recreated. @param devices with their owners */
  ensure(devices: ReadonlyMap<string, string>, ifindexOf: (device: string) => number | undefined): void {
    for (const device of this.#tried.keys()) if (!devices.has(device)) this.#forget(device);
    for (const [device, owner] of devices) {
      const ifindex = ifindexOf(device);
      if (ifindex === undefined || this.#tried.get(device) === ifindex) continue;
      const refusal = this.#steer(device);
      this.#tried.set(device, ifindex);
      const message = `packets of a flow may overtake each other: ${refusal}`;
      const outcome = { owner, code: "degraded", message, severity: "warning" } as const;
      this.#outcomes.set(`steering ${device}`, refusal === undefined ? undefined : outcome);
    }
  }

  /** Has all devices steered again in the next pass: some were refused, others may have been changed. */
  doubt(): void {
    for (const device of this.#tried.keys()) this.#tried.set(device, 0);
  }

  #forget(device: string): void {
    this.#tried.delete(device);
    this.#outcomes.set(`steering ${device}`, undefined);
  }
}
