import { steerFlows } from "../kernel/index.ts";
import type { DesiredState } from "../model/desired.ts";
import { SHAPE } from "../model/panel.ts";
import type { Failure } from "./failure.ts";

/** Devices that receive what a queue lets go: each flow there on one processor, or its packets may overtake each other. */
export function queueEnds({ links, shapers }: Pick<DesiredState, "links" | "shapers">): string[] {
  const delaying = links.flatMap((link) => (link.kind === "pair" && link.qdisc ? [link.other] : []));
  return shapers.length > 0 ? [SHAPE.other, ...delaying] : delaying;
}

/** Steers flows of such devices. Without it they work all the same, so what is refused is a warning, no failure. */
export class Steering {
  /** What came of each device, by name. */
  readonly #tried = new Map<string, { ifindex: number; refusal: string | undefined }>();
  readonly #steer: (device: string) => string | undefined;

  /** `steer` answers why it could not. */
  constructor(steer: (device: string) => string | undefined = steerFlows) {
    this.#steer = steer;
  }

  /** Each device once; one that was made anew again. */
  ensure(devices: readonly string[], ifindexOf: (device: string) => number | undefined): void {
    for (const device of this.#tried.keys()) if (!devices.includes(device)) this.#tried.delete(device);
    for (const device of devices) {
      const ifindex = ifindexOf(device);
      if (ifindex === undefined || this.#tried.get(device)?.ifindex === ifindex) continue;
      this.#tried.set(device, { ifindex, refusal: this.#steer(device) });
    }
  }

  /** The next pass tries again what was refused. */
  forget(): void {
    for (const [device, { refusal }] of this.#tried) if (refusal !== undefined) this.#tried.delete(device);
  }

  /** Devices whose flows are not steered, and why. */
  get warnings(): Failure[] {
    return [...this.#tried].flatMap(([device, { refusal }]) =>
      refusal === undefined
        ? []
        : [{ object: `device ${device}`, message: `packets of a flow may overtake each other: ${refusal}` }],
    );
  }
}
