import { cpus } from "node:os";
import type { DesiredState, Row } from "../model/desired.ts";
import { RECIRC, SHAPE, SPLIT } from "../model/panel.ts";
import { type Attachment, attachAll } from "./attach.ts";
import { compile, type Ids, portName } from "./compile.ts";
import { Devices } from "./devices.ts";
import type { Failure } from "./failure.ts";
import { Leases } from "./leases.ts";
import type { Panel } from "./panel.ts";
import { OwnPrograms } from "./programs/own.ts";
import { isQueueing } from "./queues.ts";
import { encodeRows, RowEncoder } from "./rows.ts";
import { Senders } from "./senders.ts";
import { Shapers } from "./shapers.ts";
import { queueEnds, Steering } from "./steering.ts";
import { keyBytes, type Rows, readRows, writeDifference } from "./tables.ts";

export interface Applied {
  failures: Failure[];
  /** Rows and kernel objects touched by this pass. */
  writes: number;
}

export interface DatapathOptions {
  panel: Panel;
  /** Maps that functions own, by name: rows that are not desired are removed from these alone. */
  tables: readonly string[];
  /** Maps that programs fill, by instance: rows of instances that are gone are removed. */
  state?: readonly string[];
  /** Path of the linked object of a build of a user's program. */
  programs?: (build: string) => string;
  /** Drops are also events. */
  events?: boolean;
}

const noPrograms = (build: string): string => {
  throw new Error(`find program ${build}: this datapath has none of users`);
};

/** Makes a desired state real in this network namespace: links, shapers, rows, hops, attachments, routes. */
export class Datapath {
  readonly panel: Panel;
  readonly devices: Devices;
  readonly shapers: Shapers;
  readonly leases: Leases;
  readonly programs: OwnPrograms;
  readonly #senders = new Senders();
  readonly #steering = new Steering();
  readonly #tables: readonly string[];
  readonly #state: readonly string[];
  readonly #events: boolean;
  readonly #held = new Map<string, Rows>();
  readonly #encoders = new Map<string, RowEncoder>();
  /** Devices with their program, by name: their indexes. */
  readonly #attached = new Map<string, number>();
  #applied: DesiredState | undefined;

  constructor({ panel, tables, state = [], programs = noPrograms, events = false }: DatapathOptions) {
    this.panel = panel;
    this.devices = new Devices();
    this.shapers = new Shapers(SHAPE);
    this.leases = new Leases(panel.table("weir_leases"));
    this.programs = new OwnPrograms(panel, programs);
    this.#tables = tables;
    this.#state = [...state, "weir_leases"];
    this.#events = events;
  }

  /** The last state that was applied, if any. */
  get applied(): DesiredState | undefined {
    return this.#applied;
  }

  /** What works, but not as well as it should: the kernel lacks something, or refuses it. */
  get warnings(): readonly Failure[] {
    return [...this.#steering.warnings, ...this.panel.lost];
  }

  /** The first of these rows that the kernel does not hold as it is written; undefined if it holds all. */
  lacking(rows: readonly Row[]): Row | undefined {
    const ids = this.#ids();
    return rows.find((row) => {
      const table = this.panel.table(row.table);
      const [encoded] = encodeRows([row], table, ids);
      return !encoded || !table.lookup(keyBytes(encoded[0]))?.equals(encoded[1]);
    });
  }

  /** The next pass compares with the kernel anew, and so mends what others broke. */
  forget(): void {
    this.#held.clear();
    this.#attached.clear();
    this.devices.forget();
    this.shapers.forget();
    this.#steering.forget();
    this.programs.forget();
    this.panel.generations.reload(this.panel.names.all("port").keys());
  }

  /**
   * One pass, idempotent. The order keeps packets flowing: what a row refers to exists before the row, and goes
   * after it. A failure of one object does not stop the others.
   */
  apply(wanted: DesiredState): Applied {
    const before = this.#writes();
    const { desired, failures } = this.programs.ensure(wanted);
    const attempt = (object: string, work: () => void): boolean => {
      try {
        work();
        return true;
      } catch (error) {
        failures.push({ object, message: (error as Error).message });
        return false;
      }
    };
    failures.push(...this.devices.ensure(desired.links));
    const ids = this.#ids();
    attempt("steering", () => this.#steering.ensure(queueEnds(desired), ids.device));
    attempt("shapers", () => failures.push(...this.shapers.ensure(desired.shapers, ids.shaper)));
    const tables = this.#encode(desired.rows, ids, failures);
    for (const [table, rows] of tables) attempt(`table ${table}`, () => this.#write(table, rows, "add"));
    attempt("shapers", () => failures.push(...this.shapers.lower()));
    attempt("leases", () => this.leases.follow(desired.leases, ids.instance));
    const placed = attempt("panel", () => {
      failures.push(...this.#writePorts(desired, ids));
    });
    const attachments = this.#attachments(desired);
    this.devices.watch(attachments.map(([device]) => device));
    const detached = attachAll(this.panel, attachments, ids, this.#attached);
    failures.push(...detached, ...this.devices.activate(desired.links, new Set(detached.map(({ object }) => object))));
    failures.push(...this.#senders.ensure(desired, ids.device));
    attempt("routes", () => failures.push(...this.devices.ensureRoutes(desired.routes, desired.links)));
    if (placed) {
      for (const [table, rows] of tables) attempt(`table ${table}`, () => this.#write(table, rows, "remove"));
      attempt("programs", () => this.programs.prune(desired));
      attempt("shapers", () => this.shapers.prune());
      attempt("devices", () => this.devices.prune(desired.links));
      attempt("names", () => this.#prune(desired));
    }
    if (placed) this.panel.dropOldPanels(() => !isQueueing(ids.device));
    this.#applied = wanted;
    return { failures, writes: this.#writes() - before };
  }

  #writes(): number {
    return this.panel.writes + this.devices.writes + this.shapers.writes + this.#senders.writes;
  }

  #ids(): Ids {
    const { names } = this.panel;
    return {
      port: (name) => names.id("port", name),
      instance: (name) => names.id("instance", name),
      shaper: (owner) => names.id("shaper", owner),
      slot: (name) => names.id("function", name),
      tunnel: (name) => names.id("tunnel", name),
      device: (name) => this.devices.ifindex(name),
      isSeenByXdp: (name) => this.devices.isSeenByXdp(name),
    };
  }

  #encode(rows: readonly Row[], ids: Ids, failures: Failure[]): Map<string, Rows> {
    const byTable = new Map<string, Row[]>(this.#tables.map((table) => [table, []]));
    for (const row of rows) byTable.get(row.table)?.push(row);
    const encoded = new Map<string, Rows>();
    for (const [table, group] of byTable) {
      try {
        const encoder = this.#encoders.get(table) ?? new RowEncoder();
        this.#encoders.set(table, encoder);
        encoded.set(table, encoder.encode(group, this.panel.table(table), ids));
      } catch (error) {
        failures.push({ object: `table ${table}`, message: (error as Error).message });
      }
    }
    return encoded;
  }

  /** Rows are added before the hops that lead to them and removed after. */
  #write(name: string, wanted: Rows, step: "add" | "remove"): void {
    const table = this.panel.table(name);
    const held = this.#held.get(name) ?? readRows(table);
    this.#held.set(name, held);
    writeDifference(table, step === "add" ? new Map([...held, ...wanted]) : wanted, held);
  }

  /** What failed, by port. */
  #writePorts(desired: DesiredState, ids: Ids): Failure[] {
    const { ports } = this.panel;
    const compiled = compile(desired, ids);
    for (const [name, port] of compiled) ports.set(name, port);
    ports.retain(new Set(compiled.keys()));
    return ports.commit({
      events: this.#events,
      recirc: ids.device(RECIRC.device) ?? 0,
      split: ids.device(SPLIT.device) ?? 0,
      processors: cpus().length,
    });
  }

  #attachments(desired: DesiredState): [string, Attachment][] {
    const ports = desired.ports.flatMap(({ entry, peer }): [string, Attachment][] => {
      if (peer.kind === "sockets") return [[peer.device, "host"]];
      return entry === undefined ? [] : [[entry, peer.kind === "back" ? "tap" : "entry"]];
    });
    return [...desired.resume.map((device): [string, Attachment] => [device, "resume"]), ...ports];
  }

  /** An id that comes back must not bring another's counters along. */
  #prune(desired: DesiredState): void {
    this.panel.forgetPorts(this.panel.names.prune("port", new Set(desired.ports.map(portName))));
    this.panel.names.prune("shaper", new Set(desired.shapers.map((shaper) => shaper.owner)));
    this.panel.names.prune("tunnel", new Set(desired.rows.flatMap(tunnelOf)));
    const gone = this.panel.names.prune("instance", new Set(desired.instances.map((instance) => instance.name)));
    for (const name of this.#state) {
      const table = this.panel.table(name);
      table.remove(gone.map((instance) => table.key.encode({ instance })));
    }
  }
}

/** The tunnel that a row of `weir_tunnels` is of. */
function tunnelOf({ table, key }: Row): string[] {
  return table === "weir_tunnels" ? [String(key["tunnel"])] : [];
}
