import { KernelError } from "../../kernel/index.ts";
import type { Attacher, WantedProgram } from "../attach.ts";
import type { PortRows } from "../compile.ts";
import { Datapath } from "../datapath.ts";
import type { PanelConfig } from "../generations.ts";
import { Names } from "../names.ts";
import type { DatapathParts, PanelParts } from "../parts.ts";
import type { PanelTables } from "../port-rows.ts";
import type { PortTable } from "../ports.ts";
import { MemoryTable, type RowCodec } from "../tables.ts";
import type { UserPrograms } from "../user-programs.ts";
import { MemoryNetwork } from "./memory-network.ts";

/** A codec without BTF: JSON in a buffer of fixed size. */
export function jsonCodec(size = 512): RowCodec {
  return {
    size,
    encode(fields) {
      const bytes = Buffer.alloc(size);
      const text = JSON.stringify(fields, (_, value) => plain(value));
      if (text.length > size)
        throw new KernelError("encode row", { code: "codec-value", hint: `${text.length} bytes` });
      bytes.write(text);
      return bytes;
    },
    decode(bytes) {
      return JSON.parse(bytes.toString("utf8").replace(/\0.*$/s, "") || "{}");
    },
  };
}

export const memoryTable = (name: string, maxEntries?: number): MemoryTable =>
  new MemoryTable(name, jsonCodec(), jsonCodec(), maxEntries);

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return [...value];
  return typeof value === "bigint" ? Number(value) : value;
};

/** The panel's tables in memory. */
export function memoryPanel(): PanelTables & Record<string, MemoryTable> {
  const table = (name: string) => memoryTable(`weir_${name}`);
  return {
    config: table("config"),
    hops: new MemoryTable("weir_hops", jsonCodec(), jsonCodec(4096)),
    courses: table("courses"),
    devices: table("devices"),
    near: table("near"),
  };
}

/** Whether an operation is refused: `attach va`, `load x`, …. By default none is. */
export type Refuses = (what: string) => boolean;

const refuse = (refuses: Refuses, what: string): void => {
  if (refuses(what)) throw new KernelError(what, { code: "refused", errno: "EPERM" });
};

/** Ports in force, and the ports of the next commit. */
export class MemoryPorts implements PortTable {
  inForce: ReadonlyMap<string, PortRows> = new Map();
  readonly #next = new Map<string, PortRows>();
  readonly #refuses: Refuses;

  constructor(refuses: Refuses) {
    this.#refuses = refuses;
  }

  set(name: string, rows: PortRows): void {
    this.#next.set(name, rows);
  }

  remove(name: string): void {
    this.#next.delete(name);
  }

  commit(_config: PanelConfig): ReadonlyMap<string, Error> {
    refuse(this.#refuses, "commit");
    this.inForce = new Map(this.#next);
    return new Map();
  }

  scrub(): boolean {
    return false;
  }
}

/** UserPrograms on devices, by pin. */
export class MemoryAttacher implements Attacher {
  readonly attached = new Map<string, WantedProgram & { ifindex: number }>();
  readonly #refuses: Refuses;

  constructor(refuses: Refuses) {
    this.#refuses = refuses;
  }

  pins(): string[] {
    return [...this.attached.keys()];
  }

  attach(pin: string, wanted: WantedProgram, ifindex: number): boolean {
    refuse(this.#refuses, `attach ${wanted.device}`);
    const isThere = this.attached.get(pin)?.ifindex === ifindex;
    this.attached.set(pin, { ...wanted, ifindex });
    return !isThere;
  }

  detach(pin: string): boolean {
    refuse(this.#refuses, `detach ${pin}`);
    return this.attached.delete(pin);
  }
}

export interface MemoryOptions {
  /** Functions' maps, with the most rows that each can hold. */
  tables: Readonly<Record<string, number>>;
  /** Names of the loaded functions. */
  functions: readonly string[];
}

/** Everything that a datapath uses, in memory, with a manual clock. */
export class Memory {
  refuses: Refuses = () => false;
  /** ms. */
  now = 1000;
  readonly tables = new Map<string, MemoryTable>();
  readonly network = new MemoryNetwork((what) => this.refuses(what));
  readonly ports = new MemoryPorts((what) => this.refuses(what));
  readonly attacher = new MemoryAttacher((what) => this.refuses(what));
  names: Names;
  /** Builds by instance. */
  readonly programs = new Map<string, string>();
  readonly #options: MemoryOptions;

  constructor(options: MemoryOptions) {
    this.#options = options;
    for (const name of ["weir_names", "weir_leases"]) this.tables.set(name, memoryTable(name));
    for (const [name, most] of Object.entries(options.tables)) this.tables.set(name, memoryTable(name, most));
    this.names = new Names({ table: this.table("weir_names") });
    for (const name of options.functions) this.names.id("function", name);
  }

  table(name: string): MemoryTable {
    const table = this.tables.get(name);
    if (!table) throw new Error(`find table ${name}: no loaded function has it`);
    return table;
  }

  /** A datapath on this state. A second one acts as a restarted agent. */
  datapath(): Datapath {
    this.names = new Names({ table: this.table("weir_names") });
    const panel: PanelParts & { tables: Map<string, MemoryTable> } = {
      tables: this.tables,
      names: this.names,
      abi: 1,
      table: (name) => this.table(name),
      get writes() {
        return [...this.tables.values()].reduce((sum, { writes }) => sum + writes, 0);
      },
      forgetPorts() {},
      scrub() {},
      dropOldPanels() {},
      hasOldPanels: false,
      lost: [],
    };
    const { network, ports, attacher } = this;
    const parts: DatapathParts = {
      ...{ panel, network, ports, attacher, state: [] },
      programs: this.#ownPrograms(),
      tables: Object.keys(this.#options.tables),
      clocks: { wall: () => this.now, monotonic: () => BigInt(this.now) * 1_000_000n },
    };
    return new Datapath(parts);
  }

  #ownPrograms(): UserPrograms {
    const { programs, names } = this;
    const refuses: Refuses = (what) => this.refuses(what);
    return {
      get held() {
        return [...programs.keys()];
      },
      load(instance, build) {
        refuse(refuses, `load ${instance}`);
        names.id("function", instance);
        programs.set(instance, build);
      },
      remove(instances) {
        for (const instance of instances) programs.delete(instance);
        const gone = new Set(instances);
        const kept = [...names.all("function").values()].filter((name) => !gone.has(name));
        names.prune("function", new Set(kept));
      },
    };
  }
}
