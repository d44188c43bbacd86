import { type Attacher, type DeviceRole, programsOf, type WantedProgram } from "./attach.ts";
import { Backoff } from "./backoff.ts";
import { outcomeOf } from "./fault.ts";
import type { Outcomes } from "./outcomes.ts";

/** A request for a program on a device: the port or link that needs it, and its owner. */
interface Ask {
  owner: string;
  wanted: WantedProgram;
}

/** Keeps the panel's programs attached to devices. Each attachment succeeds or fails by itself. */
export class Attachments {
  /** Number of programs attached or detached so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #attacher: Attacher;
  readonly #outcomes: Outcomes;
  /** Requests by pin, then by source. */
  readonly #asks = new Map<string, Map<string, Ask>>();
  readonly #pinsOf = new Map<string, readonly string[]>();
  /** Index of the device that has its program, by pin. */
  readonly #attached = new Map<string, number>();
  readonly #due = new Set<string>();
  /** Pins that could not be created or removed, with their devices. */
  readonly #failed = new Map<string, string>();
  readonly #byDevice = new Map<string, Set<string>>();
  /** Pins that the scrub in progress has still to compare. */
  #scrubbed: string[] = [];

  constructor(attacher: Attacher, outcomes: Outcomes, now: () => number) {
    this.#attacher = attacher;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
  }

  /** Programs that are attached. */
  get size(): number {
    return this.#attached.size;
  }

  get waiting(): number {
    return this.#failed.size;
  }

  /** Replaces the requests of a port or link (`source`); an empty list withdraws them. */
  ask(source: string, owner: string, wanted: readonly (readonly [device: string, DeviceRole])[]): void {
    for (const pin of this.#pinsOf.get(source) ?? []) {
      this.#asks.get(pin)?.delete(source);
      this.#due.add(pin);
    }
    const programs = wanted.flatMap(([device, kind]) => programsOf(device, kind));
    if (programs.length === 0) this.#pinsOf.delete(source);
    else
      this.#pinsOf.set(
        source,
        programs.map(([pin]) => pin),
      );
    for (const [pin, program] of programs) {
      const asks = this.#asks.get(pin) ?? new Map<string, Ask>();
      this.#asks.set(pin, asks.set(source, { owner, wanted: program }));
      this.#due.add(pin);
      const pins = this.#byDevice.get(program.device) ?? new Set<string>();
      this.#byDevice.set(program.device, pins.add(pin));
    }
  }

  /** Attaches programs again on devices that were created or replaced. */
  follow(devices: ReadonlySet<string>): void {
    for (const device of devices) for (const pin of this.#byDevice.get(device) ?? []) this.#due.add(pin);
  }

  tryAgain(): void {
    for (const pin of this.#failed.keys()) this.#due.add(pin);
  }

  /** Whether all programs of this device are attached. */
  isGuarded = (device: string): boolean => {
    for (const failed of this.#failed.values()) if (failed === device) return false;
    return true;
  };

  /** Attaches and detaches what is due. @param whole all requests are known: pins without a request are removed */
  ensure(ifindexOf: (device: string) => number | undefined, whole: boolean): void {
    if (whole) for (const pin of this.#attacher.pins()) if (!this.#wantedAt(pin)) this.#due.add(pin);
    let isNew = false;
    for (const pin of this.#due) {
      this.#due.delete(pin);
      const ask = this.#wantedAt(pin);
      try {
        this.#ensureOne(pin, ask?.wanted, ifindexOf);
        this.#failed.delete(pin);
        this.#outcomes.set(`program ${pin}`, undefined);
      } catch (error) {
        isNew = isNew || !this.#failed.has(pin);
        this.#failed.set(pin, ask?.wanted.device ?? "");
        this.#outcomes.set(`program ${pin}`, outcomeOf(ask?.owner ?? this.#outcomes.node, error));
      }
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  /**
   * Marks the next `count` attachments to be compared with the kernel in the next pass. Returns false after the last.
   */
  scrub(count: number): boolean {
    if (this.#scrubbed.length === 0) this.#scrubbed = [...this.#attached.keys()];
    for (const pin of this.#scrubbed.splice(0, count)) {
      if (this.#attached.delete(pin)) this.#due.add(pin);
    }
    return this.#scrubbed.length > 0;
  }

  #wantedAt(pin: string): Ask | undefined {
    const [ask] = this.#asks.get(pin)?.values() ?? [];
    return ask;
  }

  #ensureOne(pin: string, wanted: WantedProgram | undefined, ifindexOf: (device: string) => number | undefined): void {
    if (!wanted) {
      this.#attached.delete(pin);
      if (this.#asks.has(pin)) this.#forget(pin);
      if (this.#attacher.detach(pin)) this.writes++;
      return;
    }
    const ifindex = ifindexOf(wanted.device);
    if (ifindex === undefined) {
      this.#attached.delete(pin); // the kernel removed it with its device; the port or link reports a missing device
      return;
    }
    if (this.#attached.get(pin) === ifindex) return;
    this.#attached.delete(pin);
    if (this.#attacher.attach(pin, wanted, ifindex)) this.writes++;
    this.#attached.set(pin, ifindex);
  }

  #forget(pin: string): void {
    this.#asks.delete(pin);
    for (const [device, pins] of this.#byDevice) {
      if (pins.delete(pin) && pins.size === 0) this.#byDevice.delete(device);
    }
  }
}
