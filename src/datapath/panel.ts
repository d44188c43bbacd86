import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BpfMap, mapSchema, type Program, waitForPrograms } from "../kernel/index.ts";
import { Generations } from "./generations.ts";
import type { KernelTable } from "./kernel-table.ts";
import { COURSES, GONE, HOP_IDS, MAX_PORTS, MAX_SLOTS, OPS, type Op } from "./layout.ts";
import { Names } from "./names.ts";
import { abiOf, loadPinned, readObject } from "./objects.ts";
import { idKey } from "./tables.ts";

export interface PanelOptions {
  /** Folder on a bpffs that holds everything pinned of this node. */
  root: string;
  /** Folder of the compiled objects. */
  objects: string;
  /** Names of the functions to load. */
  functions: readonly string[];
}

/** Programs that devices have. */
export type PanelPrograms = Readonly<
  Record<"entry" | "resume" | "tapIngress" | "tapEgress" | "hostIngress" | "hostEgress", Program>
>;

/** Rows that belong to one build of the panel and are not carried into another. */
const NOT_CARRIED = new Set([
  "weir_config",
  "weir_devices",
  "weir_hops",
  "weir_functions",
  "weir_events",
  "weir_upcalls",
  "weir_traces",
]);

/** One step of a read-only run: what the hop did, as which instance, at which port; `reason` of a drop. */
export interface TraceStep {
  hop: number;
  op: Op;
  instance: string;
  port: string;
  reason: number;
}
type RawStep = { hop: number; op: number; instance: number; port: number; reason: number };

/** The panel as the kernel holds it: its programs in their slots, its tables, its ids. */
export class Panel {
  readonly abi: number;
  /** Folder with the pins of this node. */
  readonly root: string;
  /** Folder with the pins of this panel: `abi-<version>-<schema of its maps>`. */
  readonly own: string;
  readonly programs: PanelPrograms;
  readonly tables: ReadonlyMap<string, KernelTable>;
  readonly names: Names;
  readonly generations: Generations;

  private constructor(abi: number, own: string, programs: PanelPrograms, tables: ReadonlyMap<string, KernelTable>) {
    this.abi = abi;
    this.root = dirname(own);
    this.own = own;
    this.programs = programs;
    this.tables = tables;
    this.names = new Names(this.table("weir_names"), waitForPrograms);
    this.generations = new Generations(
      {
        config: this.table("weir_config"),
        hops: this.table("weir_hops"),
        courses: this.table("weir_courses"),
        devices: this.table("weir_devices"),
        tunnels: this.table("weir_tunnels"),
      },
      this.names.all("port").keys(),
      waitForPrograms,
    );
  }

  /**
   * Loads what the kernel does not hold yet. With the same ABI and map schemas, programs are replaced in their slots;
   * else a second panel is built beside the first and takes over its state; `dropOldPanels` ends the first.
   */
  static open({ root, objects, functions }: PanelOptions): Panel {
    const files = ["entry", ...functions].map((name) => readObject(objects, name));
    const abi = abiOf(files[0] as (typeof files)[number]);
    const declared = files.flatMap(({ spec }) => spec.maps.map((map) => ({ btf: spec.btf, map })));
    const own = join(root, `abi-${abi}-${mapSchema(declared)}`);
    const pins = { maps: join(own, "maps"), programs: join(own, "programs") };
    for (const path of [pins.maps, pins.programs, join(root, "links")]) mkdirSync(path, { recursive: true });
    const loaded = files.map((file) => loadPinned(file, pins));
    const tables = new Map(loaded.flatMap((object) => [...object.tables]));
    assertLayout(tables);
    if (!wasInForce(tables)) carryState(own, tables);
    const program = (name: string): Program => {
      const found = loaded.flatMap((object) => [...object.programs]).find(([known]) => known === name);
      if (!found) throw new Error(`open panel: program ${name} is in no object of ${objects}`);
      return found[1];
    };
    const programs = {
      entry: program("weir_entry"),
      resume: program("weir_resume"),
      tapIngress: program("weir_tap_ingress"),
      tapEgress: program("weir_tap_egress"),
      hostIngress: program("weir_host_ingress"),
      hostEgress: program("weir_host_egress"),
    };
    const panel = new Panel(abi, own, programs, tables);
    for (const name of functions) panel.#fillSlot(name, program(`weir_${name}`));
    return panel;
  }

  get entry(): Program {
    return this.programs.entry;
  }

  get resume(): Program {
    return this.programs.resume;
  }

  table(name: string): KernelTable {
    const table = this.tables.get(name);
    if (!table) throw new Error(`find table ${name}: no loaded function has it`);
    return table;
  }

  /** Rows written or removed by this agent in all tables. */
  get writes(): number {
    return [...this.tables.values()].reduce((sum, table) => sum + table.writes, 0);
  }

  /** What the last read-only run recorded, with names for ids. */
  trace(): { steps: number; step: TraceStep[] } {
    const table = this.table("weir_traces");
    const row = table.lookup(Buffer.alloc(4));
    const { steps = 0, step = [] } = row ? (table.value.decode(row) as { steps?: number; step?: RawStep[] }) : {};
    const instances = this.names.all("instance");
    const ports = this.names.all("port");
    const named = step.slice(0, steps).map((raw) => ({
      hop: raw.hop,
      op: OPS[raw.op] ?? "down",
      instance: instances.get(raw.instance) ?? "",
      port: ports.get(raw.port) ?? "",
      reason: raw.reason,
    }));
    return { steps, step: named };
  }

  /** Sets the counters of ports that are gone to nothing. What they dropped stays counted, as that of `GONE`. */
  forgetPorts(ids: readonly number[]): void {
    if (ids.length === 0) return;
    const drops = this.table("weir_drops");
    const gone = new Set(ids);
    const rows = drops.entries().filter(([key]) => gone.has(Number(drops.key.decode(key)["port"])));
    for (const [key, count] of rows) {
      const total = drops.key.encode({ ...drops.key.decode(key), port: GONE });
      drops.write([[total, addCounts(count, drops.lookup(total))]]);
      drops.remove([key]);
    }
    this.table("weir_ports").remove(ids.map(idKey));
  }

  /** Ends panels of other builds; their devices must have moved. */
  dropOldPanels(): string[] {
    const old = otherPanels(this.own);
    for (const path of old) rmSync(path, { recursive: true, force: true });
    return old.map((path) => basename(path));
  }

  /** Puts a program into the slot of this name. */
  place(name: string, program: Program): void {
    this.#fillSlot(name, program);
  }

  /** Empties the slots of these names, which nothing leads to any more. */
  vacate(names: readonly string[]): void {
    if (names.length === 0) return;
    const gone = new Set(names);
    const slots = this.table("weir_functions");
    const kept = [...this.names.all("function").values()].filter((name) => !gone.has(name));
    for (const id of this.names.prune("function", new Set(kept))) {
      slots.map.delete(idKey(id));
      slots.writes++;
    }
  }

  close(): void {
    for (const table of this.tables.values()) table.map.close();
  }

  #fillSlot(name: string, program: Program): void {
    const slots = this.table("weir_functions");
    const key = idKey(this.names.id("function", name));
    // a look-up gives the id of the program in the slot, an update takes a descriptor
    if (slots.lookup(key)?.readUInt32LE() === program.id) return;
    const value = Buffer.alloc(4);
    value.writeUInt32LE(program.fd);
    slots.map.update(key, value);
    slots.writes++;
  }
}

/** Sums of 64-bit counters, place by place. */
function addCounts(one: Buffer, other: Buffer | undefined): Buffer {
  const sum = Buffer.from(one);
  if (!other) return sum;
  for (let at = 0; at < sum.length; at += 8) {
    sum.writeBigUInt64LE(BigInt.asUintN(64, one.readBigUInt64LE(at) + other.readBigUInt64LE(at)), at);
  }
  return sum;
}

/** A panel that never applied a state has no ABI in its configuration: new, or left half-built by a crash. */
function wasInForce(tables: ReadonlyMap<string, KernelTable>): boolean {
  const config = tables.get("weir_config");
  const row = config?.lookup(Buffer.alloc(4));
  return config !== undefined && row !== undefined && Number(config.value.decode(row)["abi"]) !== 0;
}

/** The same of a panel of another build, whose layouts are not ours: it applied a state if its configuration says anything. */
function isInForce(panel: string): boolean {
  const path = join(panel, "maps", "weir_config");
  if (!existsSync(path)) return false;
  const config = BpfMap.open(path);
  const row = config.lookup(Buffer.alloc(config.keySize));
  config.close();
  return row?.some((byte) => byte !== 0) ?? false;
}

/** Panels of other builds in the same folder. */
function otherPanels(own: string): string[] {
  const root = dirname(own);
  const names = readdirSync(root).filter((name) => name.startsWith("abi-") && name !== basename(own));
  return names.map((name) => join(root, name));
}

/** Copies state (ids, sessions, counters, learned rows) from the panel in force into a new one. */
function carryState(own: string, tables: ReadonlyMap<string, KernelTable>): void {
  const old = otherPanels(own).find(isInForce);
  if (!old) return;
  for (const [name, table] of tables) {
    const path = join(old, "maps", name);
    if (NOT_CARRIED.has(name) || !existsSync(path)) continue;
    const from = BpfMap.open(path);
    const fits =
      from.type === table.map.type && from.keySize === table.map.keySize && from.bufferSize === table.map.bufferSize;
    if (fits) table.map.updateBatch(from.entries());
    from.close();
  }
}

/** The constants in layout.ts and in bpf/weir.h must agree. */
function assertLayout(tables: ReadonlyMap<string, KernelTable>): void {
  const expected = { weir_hops: 2 * HOP_IDS, weir_courses: COURSES, weir_functions: MAX_SLOTS, weir_ports: MAX_PORTS };
  for (const [name, entries] of Object.entries(expected)) {
    const actual = tables.get(name)?.map.maxEntries;
    if (actual !== entries) throw new Error(`open panel: ${name} has ${actual} rows, expected ${entries}`);
  }
}
