import type { Outcomes } from "./outcomes.ts";

/**
 * Steers the flows of devices that receive what a queue lets go: each flow there on one processor, or its packets may
 * overtake each other. Without it they work all the same, so what is refused is a warning.
 */
export class Steering {
  readonly #outcomes: Outcomes;
  readonly #steer: (device: string) => string | undefined;
  /** What came of each device, by name. */
  readonly #tried = new Map<string, { ifindex: number; refused: boolean }>();

  /** @param steer answers why it could not */
  constructor(outcomes: Outcomes, steer: (device: string) => string | undefined) {
    this.#outcomes = outcomes;
    this.#steer = steer;
  }

  /** Each device once; one that was made anew again. `devices`: and whose they are. */
  ensure(devices: ReadonlyMap<string, string>, ifindexOf: (device: string) => number | undefined): void {
    for (const device of this.#tried.keys()) if (!devices.has(device)) this.#forget(device);
    for (const [device, owner] of devices) {
      const ifindex = ifindexOf(device);
      if (ifindex === undefined || this.#tried.get(device)?.ifindex === ifindex) continue;
      const refusal = this.#steer(device);
      this.#tried.set(device, { ifindex, refused: refusal !== undefined });
      const message = `packets of a flow may overtake each other: ${refusal}`;
      const outcome = { owner, code: "degraded", message, severity: "warning" } as const;
      this.#outcomes.set(`steering ${device}`, refusal === undefined ? undefined : outcome);
    }
  }

  /** The next pass tries again what was refused. */
  tryAgain(): void {
    for (const [device, { refused }] of this.#tried) if (refused) this.#tried.delete(device);
  }

  #forget(device: string): void {
    this.#tried.delete(device);
    this.#outcomes.set(`steering ${device}`, undefined);
  }
}
