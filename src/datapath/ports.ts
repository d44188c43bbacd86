import { type Change, type Port, portName } from "../model/document.ts";
import type { DeviceRole } from "./attach.ts";
import type { Attachments } from "./attachments.ts";
import { Backoff } from "./backoff.ts";
import { compilePort, noPeer, type PortRows } from "./compile.ts";
import { Dependents } from "./dependents.ts";
import type { Devices } from "./devices.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { PanelConfig } from "./generations.ts";
import type { Instances } from "./instances.ts";
import type { Links } from "./links.ts";
import type { Name, Names } from "./names.ts";
import type { Outcomes } from "./outcomes.ts";

/** The panel's ports: the kernel's, or an in-memory double. */
export interface PortTable {
  set(name: string, rows: PortRows): void;
  remove(name: string): void;
  /**
   * Puts all changes in force at once, and returns when no packet is on the old state any more. Returns the errors of
   * ports that failed, by name.
   */
  commit(config: PanelConfig): ReadonlyMap<string, Error>;
  /** Compares the next `count` ports with the kernel and repairs them; false after the last. */
  scrub(count: number): boolean;
}

interface Wanted {
  owner: string;
  item: Port;
}

/** Ports with their chains. Each succeeds or fails by itself. */
export class Ports {
  readonly retry: Backoff;
  readonly #table: PortTable;
  readonly #names: Names;
  readonly #instances: Instances;
  readonly #devices: Devices;
  readonly #links: Links;
  readonly #attachments: Attachments;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** The resources that a port depends on: `device X`, `instance Y`, `port Z`. */
  readonly #needs = new Dependents();
  /** Names whose ids a port's hops use: of the hops in force, and of the port as it is wanted. */
  readonly #held = new Map<string, Name[]>();
  readonly #dropped: Name[] = [];
  #config: PanelConfig | undefined;
  #isCommitted = false;

  constructor(parts: {
    table: PortTable;
    names: Names;
    instances: Instances;
    devices: Devices;
    links: Links;
    attachments: Attachments;
    outcomes: Outcomes;
    now: () => number;
  }) {
    this.#table = parts.table;
    this.#names = parts.names;
    this.#instances = parts.instances;
    this.#devices = parts.devices;
    this.#links = parts.links;
    this.#attachments = parts.attachments;
    this.#outcomes = parts.outcomes;
    this.retry = new Backoff(parts.now);
  }

  get waiting(): number {
    return this.#failed.size;
  }

  /** Whether the document has this port. */
  has(name: string): boolean {
    return this.#wanted.has(name);
  }

  /** Whether a port refers to this device. */
  names(device: string): boolean {
    return this.#needs.has(`device ${device}`);
  }

  take({ owner, item, gone }: Change<Port>): void {
    const name = portName(item);
    const isNew = !this.#wanted.has(name);
    if (gone) this.#wanted.delete(name);
    else this.#wanted.set(name, { owner, item });
    this.#due.add(name);
    this.#needs.set(name, gone ? [] : needsOf(item));
    this.#attachments.ask(`port ${name}`, owner, gone ? [] : programsOf(item));
    if (gone || isNew) for (const other of this.#needs.of(`port ${name}`)) this.#due.add(other);
  }

  /** Compiles the ports that depend on changed devices or instances again. */
  follow(kind: "device" | "instance", names: ReadonlySet<string>): void {
    for (const name of names) for (const port of this.#needs.of(`${kind} ${name}`)) this.#due.add(port);
  }

  tryAgain(): void {
    for (const name of this.#failed) this.#due.add(name);
  }

  /** How many are wanted. */
  get size(): number {
    return this.#wanted.size;
  }

  /** Compares the rows of the next `count` ports with the kernel's and repairs them; false after the last. */
  scrub(count: number): boolean {
    return this.#table.scrub(count);
  }

  /**
   * Puts due ports in force, all at once. A port that fails keeps its old state. @throws if the panel refuses the
   * change
   */
  ensure(config: PanelConfig): void {
    let isNew = false;
    for (const name of this.#due) {
      const wanted = this.#wanted.get(name);
      if (!wanted) this.#remove(name);
      else isNew = this.#attempt(name, wanted) || isNew;
      this.#isCommitted = false;
      this.#due.delete(name);
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
    if (this.#isCommitted && this.#config && sameConfig(this.#config, config)) return;
    const refused = this.#table.commit(config);
    for (const [name, error] of refused) this.#fail(name, error);
    if (refused.size > 0) this.retry.fail(true);
    this.#config = config;
    this.#isCommitted = true;
    for (const name of this.#dropped.splice(0)) this.#names.drop(name);
  }

  #fail(name: string, error: Error): void {
    this.#failed.add(name);
    this.#outcomes.set(`port ${name}`, outcomeOf(this.#wanted.get(name)?.owner ?? this.#outcomes.node, error));
  }

  /** Returns true if the port failed and had not before. */
  #attempt(name: string, wanted: Wanted): boolean {
    try {
      this.#set(name, wanted.item);
    } catch (error) {
      const isNew = !this.#failed.has(name);
      this.#failed.add(name);
      this.#outcomes.set(`port ${name}`, outcomeOf(wanted.owner, error));
      return isNew;
    }
    this.#failed.delete(name);
    const fault = this.#faultOf(wanted.item);
    this.#outcomes.set(`port ${name}`, fault && outcomeOf(wanted.owner, fault));
    return false;
  }

  #set(name: string, port: Port): void {
    const held: Name[] = [];
    const hold = (kind: "port" | "instance", of: string): number => {
      const found = this.#names.hold(kind, of);
      held.push(found);
      return found.id;
    };
    try {
      const rows = compilePort(port, {
        port: (of) => hold("port", of),
        instance: (of) => {
          const placed = this.#instances.get(of);
          if (placed) hold("instance", of);
          return placed;
        },
        hasPort: (of) => this.#wanted.has(of),
        device: (of) => this.#devices.ifindex(of),
        isSeenByXdp: (of) => this.#devices.isSeenByXdp(of),
      });
      this.#table.set(name, rows);
    } catch (error) {
      for (const one of held) this.#names.drop(one);
      throw error;
    }
    this.#dropped.push(...(this.#held.get(name) ?? []));
    this.#held.set(name, held);
  }

  #remove(name: string): void {
    this.#table.remove(name);
    this.#dropped.push(...(this.#held.get(name) ?? []));
    this.#held.delete(name);
    this.#failed.delete(name);
    this.#outcomes.set(`port ${name}`, undefined);
  }

  /** Why a port cannot send or receive. Missing devices of Weir's own are reported by their links. */
  #faultOf({ peer, entry }: Port): Fault | undefined {
    if (peer.kind === "port" && !this.#wanted.has(peer.port)) return noPeer(peer.port);
    const devices = ["device" in peer ? peer.device : undefined, entry];
    const isMissing = (device: string) => !this.#links.get(device) && this.#devices.ifindex(device) === undefined;
    const missing = devices.find((device) => device !== undefined && isMissing(device));
    return missing === undefined ? undefined : new Fault("no-device", `connect port: there is no device ${missing}`);
  }
}

function needsOf({ instance, peer, entry, ingress, egress }: Port): string[] {
  const devices = [...("device" in peer ? [peer.device] : []), ...(entry === undefined ? [] : [entry])];
  return [
    ...devices.map((device) => `device ${device}`),
    ...[instance, ...ingress, ...egress].map((one) => `instance ${one}`),
    ...(peer.kind === "port" ? [`port ${peer.port}`] : []),
  ];
}

function programsOf({ peer, entry }: Port): [string, DeviceRole][] {
  if (peer.kind === "sockets") return [[peer.device, "host"]];
  return entry === undefined ? [] : [[entry, peer.kind === "back" ? "tap" : "entry"]];
}

function sameConfig(one: PanelConfig, other: PanelConfig): boolean {
  const names = Object.keys(one) as (keyof PanelConfig)[];
  return names.every((name) => one[name] === other[name]);
}
