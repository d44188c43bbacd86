import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { mapSchema, type Program, waitForPrograms } from "../kernel/index.ts";
import { isAttached, type OtherPanel, otherPanels, readPanel, removePanel } from "./builds.ts";
import type { Failure } from "./failure.ts";
import { Generations } from "./generations.ts";
import type { KernelTable } from "./kernel-table.ts";
import { COURSES, GONE, HOP_IDS, MAX_PORTS, MAX_SLOTS, OPS, type Op } from "./layout.ts";
import { Names } from "./names.ts";
import { abiOf, loadPinned, readObject } from "./objects.ts";
import { idKey } from "./tables.ts";
import { carryRows, shareMaps } from "./takeover.ts";

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

/** One step of a read-only run: what the hop did, as which instance, at which port; `reason` of a drop. */
export interface TraceStep {
  hop: number;
  op: Op;
  instance: string;
  port: string;
  reason: number;
}
type RawStep = { hop: number; op: number; instance: number; port: number; reason: number };

interface Parts {
  abi: number;
  epoch: number;
  own: string;
  programs: PanelPrograms;
  tables: ReadonlyMap<string, KernelTable>;
  lost: readonly Failure[];
}

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
  /** Rows of the panel before this one that could not be taken over, by table. */
  readonly lost: readonly Failure[];

  private constructor({ abi, epoch, own, programs, tables, lost }: Parts) {
    this.abi = abi;
    this.lost = lost;
    this.root = dirname(own);
    this.own = own;
    this.programs = programs;
    this.tables = tables;
    this.names = new Names(this.table("weir_names"));
    this.generations = new Generations(
      {
        config: this.table("weir_config"),
        hops: this.table("weir_hops"),
        courses: this.table("weir_courses"),
        devices: this.table("weir_devices"),
        tunnels: this.table("weir_tunnels"),
      },
      this.names.all("port").keys(),
      { abi, epoch },
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
    const { previous, epoch } = succession(own);
    if (previous) shareMaps(previous, pins.maps, files, abi);
    const loaded = files.map((file) => loadPinned(file, pins));
    const tables = new Map(loaded.flatMap((object) => [...object.tables]));
    assertLayout(tables);
    const lost = previous ? carryRows(previous, tables, abi) : [];
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
    const panel = new Panel({ abi, epoch, own, programs, tables, lost });
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

  /** Ends panels of other builds whose devices have moved, once this one is in force. Their names. */
  dropOldPanels(): string[] {
    if (!this.generations.isInForce) return [];
    const old = otherPanels(this.own).filter(({ path }) => !isAttached(path, join(this.root, "links")));
    for (const panel of old) removePanel(panel);
    return old.map(({ path }) => basename(path));
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

/**
 * Whose state a panel begins with, and its place in the order in which panels come into force. One that is the last in
 * force already begins with its own: it may have been left for another build and come back to, though.
 */
function succession(own: string): { previous: OtherPanel | undefined; epoch: number } {
  const self = readPanel(own);
  const last = otherPanels(own)
    .filter(({ abi }) => abi !== 0)
    .at(-1);
  if (self.abi !== 0 && self.epoch > (last?.epoch ?? -1)) return { previous: undefined, epoch: self.epoch };
  return { previous: last, epoch: (last?.epoch ?? 0) + 1 };
}

/** The constants in layout.ts and in bpf/weir.h must agree. */
function assertLayout(tables: ReadonlyMap<string, KernelTable>): void {
  const expected = { weir_hops: 2 * HOP_IDS, weir_courses: COURSES, weir_functions: MAX_SLOTS, weir_ports: MAX_PORTS };
  for (const [name, entries] of Object.entries(expected)) {
    const actual = tables.get(name)?.map.maxEntries;
    if (actual !== entries) throw new Error(`open panel: ${name} has ${actual} rows, expected ${entries}`);
  }
}
