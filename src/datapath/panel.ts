import { existsSync, mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { mapSchema, type Program, waitForPrograms } from "../kernel/index.ts";
import { isAttached, type OtherPanel, otherPanels, readPanel, removePanel, resumeProgram } from "./builds.ts";
import {
  dropOtherTables,
  FLOW_TABLE_SIZE,
  type FlowTableSize,
  flowFolder,
  isFlowMap,
  withFlows,
} from "./flow-folder.ts";
import { FlowTable } from "./flows.ts";
import { Generations } from "./generations.ts";
import type { KernelTable } from "./kernel-table.ts";
import { GONE, MAX_SLOTS, MAX_TUNNELS, markNumber, NO_PORT, PORT_HOPS } from "./layout.ts";
import { Names } from "./names.ts";
import { abiOf, dropOrphans, loadPinned, pinOf, readObject } from "./objects.ts";
import { PanelPorts } from "./panel-ports.ts";
import type { Lost, PanelPrograms } from "./panel-types.ts";
import { checkSizes, DEFAULT_SIZES, type PanelSizes } from "./sizes.ts";
import { idKey } from "./tables.ts";
import { carryRows, shareMaps } from "./takeover.ts";

export interface PanelOptions {
  /** The bpffs folder with all pins of this node. */
  root: string;
  /** The folder of compiled objects. */
  objects: string;
  /** Names of the functions to load. */
  functions: readonly string[];
  sizes?: PanelSizes;
  /** Size of the flow table, if a function uses it. */
  flows?: FlowTableSize;
}

/** Upper bound of the time that a packet waits in Weir's devices, ms: four delays of ten seconds, and queues. */
const LONGEST_WAIT = 45_000;

interface Parts {
  abi: number;
  epoch: number;
  own: string;
  sizes: PanelSizes;
  programs: PanelPrograms;
  tables: ReadonlyMap<string, KernelTable>;
  lost: readonly Lost[];
}

/** A panel in the kernel: its programs in their slots, its tables, its names. */
export class Panel {
  readonly abi: number;
  /** The bpffs folder of this node. */
  readonly root: string;
  /** The bpffs folder of this panel: `abi-<version>-<schema of its maps>`. */
  readonly own: string;
  readonly programs: PanelPrograms;
  readonly tables: ReadonlyMap<string, KernelTable>;
  readonly names: Names;
  readonly sizes: PanelSizes;
  readonly ports: PanelPorts;
  readonly generations: Generations;
  /** State of the previous panel that could not be taken over. */
  readonly lost: readonly Lost[];
  /** Programs of functions, by slot. */
  readonly #slots = new Map<string, Program>();
  /** What is pinned in this panel's folder, by path. */
  readonly #pins = new Map<string, { pin(path: string): void }>();
  /** When all devices of an older panel had moved away, by its path; ms. */
  readonly #movedAt = new Map<string, number>();
  /** The flow table, shared by all panels; undefined if no function uses it. */
  flows: FlowTable | undefined;

  private constructor({ abi, epoch, own, sizes, programs, tables, lost }: Parts) {
    this.abi = abi;
    this.lost = lost;
    this.root = dirname(own);
    this.own = own;
    this.programs = programs;
    this.tables = tables;
    this.sizes = sizes;
    this.names = new Names({
      table: this.table("weir_names"),
      sizes,
      settle: waitForPrograms,
      forget: () => this.#sweepDrops(),
    });
    this.generations = new Generations({
      tables: {
        config: this.table("weir_config"),
        hops: this.table("weir_hops"),
        courses: this.table("weir_courses"),
        devices: this.table("weir_devices"),
        near: this.table("weir_near"),
      },
      courses: this.table("weir_courses").map.maxEntries,
      ports: this.names.all("port").keys(),
      identity: { abi, epoch },
      settle: waitForPrograms,
    });
    this.ports = new PanelPorts(this.generations, this.names);
    this.#sweepDrops();
  }

  /**
   * Loads what the kernel does not have yet. With the same ABI and map schemas, programs are replaced in their slots.
   * Otherwise a second panel is built beside the first and takes over its state; `dropOldPanels` removes the first.
   */
  static open({ root, objects, functions, sizes = DEFAULT_SIZES, flows: room = FLOW_TABLE_SIZE }: PanelOptions): Panel {
    checkSizes(sizes);
    const files = ["entry", ...functions].map((name) => readObject(objects, name));
    const abi = abiOf(files[0] as (typeof files)[number]);
    const ours = files.map(({ spec }) => ({ btf: spec.btf, maps: spec.maps.filter((map) => !isFlowMap(map)) }));
    const declared = ours.flatMap(({ btf, maps }) => maps.map((map) => ({ btf, map })));
    const own = join(root, `abi-${abi}-${mapSchema(declared, `ports ${sizes.ports}`)}`);
    const pins = { maps: join(own, "maps"), programs: join(own, "programs") };
    for (const path of [pins.maps, pins.programs, join(root, "links")]) mkdirSync(path, { recursive: true });
    const { previous, epoch } = succession(own);
    if (previous) shareMaps(previous, pins.maps, files, { abi, sizes });
    const flows = flowFolder(root, files);
    const folders = { ...pins, ...withFlows(flows, room) };
    dropOrphans(pins, files, folders.elsewhere);
    const loaded = files.map((file) => loadPinned(file, folders, sizes));
    const tables = new Map(loaded.flatMap((object) => [...object.tables]));
    assertLayout(tables, sizes);
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
    rememberElders(own, abi, tables);
    const panel = new Panel({ abi, epoch, own, sizes, programs, tables, lost });
    if (flows !== undefined) panel.flows = FlowTable.open(flows, objects);
    for (const name of functions) panel.#slots.set(name, program(`weir_${name}`));
    for (const [name, one] of tables) panel.#pins.set(join(pins.maps, name), one.map);
    for (const [index, file] of files.entries()) {
      for (const [name, one] of loaded[index]?.programs ?? []) {
        panel.#pins.set(join(pins.programs, pinOf(file, name)), one);
      }
    }
    panel.scrub();
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

  /** Rows that this agent has written or removed, in all tables. */
  get writes(): number {
    return [...this.tables.values()].reduce((sum, table) => sum + table.writes, 0);
  }

  /**
   * Resets the counters of removed ports. Their drops are kept in the rows of `GONE`, so that totals never decrease.
   */
  forgetPorts(ids: readonly number[]): void {
    if (ids.length > 0) this.table("weir_ports").remove(ids.map(idKey));
  }

  /** Adds the drops of removed ports and instances to rows that no later user of their ids has. */
  #sweepDrops(): void {
    const drops = this.table("weir_drops");
    for (const [key, count] of drops.entries()) {
      const row = drops.key.decode(key) as { port: number; instance: number; rule: number };
      const isGone = row.port !== NO_PORT && row.port !== GONE && !this.names.isUsed("port", row.port);
      const isAnonymous = row.instance !== 0 && !this.names.isUsed("instance", row.instance);
      if (!isGone && !isAnonymous) continue;
      const heir = drops.key.encode({ ...row, instance: 0, rule: 0, ...(isGone && { port: GONE }) });
      drops.write([[heir, addCounts(count, drops.lookup(heir))]]);
      drops.remove([key]);
    }
  }

  /**
   * Removes panels of other builds once this one is in force and their devices have moved. A panel of another ABI is
   * removed once no packet can wait for it: when all queues are empty, or after the longest wait.
   * @param isIdle whether no packet waits in Weir's devices
   * @returns their names
   */
  dropOldPanels(isIdle: () => boolean, now = performance.now()): string[] {
    if (!this.generations.isInForce) return [];
    const old = otherPanels(this.own).filter((panel) => this.#isOver(panel, isIdle, now));
    for (const panel of old) {
      this.table("weir_elders").map.delete(idKey(markNumber(panel.abi)));
      removePanel(panel);
    }
    if (otherPanels(this.own).length === 0) dropOtherTables(this.root, this.flows?.folder);
    return old.map(({ path }) => basename(path));
  }

  /** Whether panels of other builds still exist. */
  get hasOldPanels(): boolean {
    return otherPanels(this.own).length > 0;
  }

  #isOver(panel: OtherPanel, isIdle: () => boolean, now: number): boolean {
    if (isAttached(panel.path, join(this.root, "links"))) return false;
    if (panel.abi === 0 || panel.abi === this.abi) return true;
    const since = this.#movedAt.get(panel.path) ?? now;
    this.#movedAt.set(panel.path, since);
    return now - since >= LONGEST_WAIT || isIdle();
  }

  /** Puts a program into the slot of this name. */
  place(name: string, program: Program): void {
    this.#fillSlot(name, program);
  }

  /** Empties slots to which no hop leads any more. */
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

  /** Puts back pins and slots of functions' programs that somebody removed. */
  scrub(): void {
    for (const [path, object] of this.#pins) if (!existsSync(path)) object.pin(path);
    for (const [name, program] of this.#slots) this.#fillSlot(name, program);
  }

  close(): void {
    for (const table of this.tables.values()) table.map.close();
    this.flows?.close();
  }

  #fillSlot(name: string, program: Program): void {
    const slots = this.table("weir_functions");
    const key = idKey(this.names.id("function", name));
    // looking up a slot returns the program's id
    if (slots.lookup(key)?.readUInt32LE() === program.id) return;
    const value = Buffer.alloc(4);
    value.writeUInt32LE(program.fd);
    slots.map.update(key, value);
    slots.writes++;
  }
}

/** Adds 64-bit counters, element by element. */
function addCounts(one: Buffer, other: Buffer | undefined): Buffer {
  const sum = Buffer.from(one);
  if (!other) return sum;
  for (let at = 0; at < sum.length; at += 8) {
    sum.writeBigUInt64LE(BigInt.asUintN(64, one.readBigUInt64LE(at) + other.readBigUInt64LE(at)), at);
  }
  return sum;
}

/**
 * The panel whose state a new one takes over, and the new one's epoch. A panel that is still the last in force
 * continues with its own state. One that was left for another build and is used again takes over the other's.
 */
function succession(own: string): { previous: OtherPanel | undefined; epoch: number } {
  const self = readPanel(own);
  const last = otherPanels(own)
    .filter(({ abi }) => abi !== 0)
    .at(-1);
  if (self.abi !== 0 && self.epoch > (last?.epoch ?? -1)) return { previous: undefined, epoch: self.epoch };
  return { previous: last, epoch: (last?.epoch ?? 0) + 1 };
}

/** Lets packets return to panels of other ABIs for which they wait in Weir's devices. */
function rememberElders(own: string, abi: number, tables: ReadonlyMap<string, KernelTable>): void {
  const slots = tables.get("weir_elders");
  for (const panel of otherPanels(own)) {
    const program = panel.abi !== 0 && panel.abi !== abi ? resumeProgram(panel) : undefined;
    if (!slots || !program) continue;
    const key = idKey(markNumber(panel.abi));
    if (slots.lookup(key)?.readUInt32LE() !== program.id) slots.map.update(key, idKey(program.fd));
    program.close();
  }
}

/** @throws Error if the constants in layout.ts differ from those in bpf/weir.h */
function assertLayout(tables: ReadonlyMap<string, KernelTable>, { ports }: PanelSizes): void {
  const expected = {
    weir_hops: 2 * ports,
    weir_courses: 4 * ports,
    weir_functions: MAX_SLOTS,
    weir_ports: ports,
    weir_tunnels: MAX_TUNNELS,
  };
  for (const [name, entries] of Object.entries(expected)) {
    const actual = tables.get(name)?.map.maxEntries;
    if (actual !== entries) throw new Error(`open panel: ${name} has ${actual} rows, expected ${entries}`);
  }
  const row = tables.get("weir_hops")?.map.valueSize;
  if (row !== HOP_BYTES * PORT_HOPS) throw new Error(`open panel: a row of weir_hops has ${row} bytes`);
}

const HOP_BYTES = 16;
