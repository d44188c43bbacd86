import { existsSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, type Carrier, carrier, inspectDefinitions, isSameType, type TypeIn } from "../kernel/index.ts";
import type { OtherPanel } from "./builds.ts";
import type { KernelTable } from "./kernel-table.ts";
import type { ObjectFile } from "./objects.ts";
import type { Lost } from "./panel-types.ts";
import { type PanelSizes, rowsFor } from "./sizes.ts";

/** Maps that belong to one build of the panel and are not taken over. */
const NOT_CARRIED = new Set([
  "weir_config",
  "weir_devices",
  "weir_near",
  "weir_hops",
  "weir_functions",
  "weir_upcalls",
  "weir_traces",
  "weir_elders",
]);
/** Maps whose numbers have the meaning of their ABI: other ABIs do not take them over. */
const OF_ONE_ABI = new Set(["weir_courses", "weir_tunnels"]);

/**
 * Pins maps of the panel in force for the new panel too, where both builds declare them alike. They then share every
 * write, so that no count is lost. Other maps are created new and filled by `carryRows`.
 */
export function shareMaps(
  from: OtherPanel,
  maps: string,
  files: readonly ObjectFile[],
  { abi, sizes }: { abi: number; sizes: PanelSizes },
): void {
  for (const file of files) {
    const definitions = new Map(inspectDefinitions(file.path).maps.map((one) => [one.name, one]));
    for (const name of file.spec.maps) {
      const wanted = definitions.get(name);
      if (existsSync(join(maps, name)) || !wanted || !isCarried(name, from, abi)) continue;
      withMap(from, name, (map) => {
        const types = map.types();
        const declared = file.spec.types(name);
        const rows = rowsFor(name, wanted.maxEntries, sizes);
        const fits = map.typeNumber === wanted.type && map.maxEntries === rows && map.flags === wanted.flags;
        if (!fits || !types || !declared) return;
        if (isSameType(types.key, declared.key) && isSameType(types.value, declared.value)) map.pin(join(maps, name));
      });
    }
  }
}

const isCarried = (name: string, { abi: old }: OtherPanel, abi: number): boolean =>
  !NOT_CARRIED.has(name) && (old === abi || !OF_ONE_ABI.has(name));

function withMap(from: OtherPanel, name: string, work: (map: BpfMap) => void): void {
  const path = join(from.path, "maps", name);
  if (!existsSync(path)) return;
  const map = BpfMap.open(path);
  try {
    work(map);
  } finally {
    map.close();
  }
}

/**
 * Copies state (ids, counters, learned rows) from the panel in force into maps that are not shared with it, by field
 * names. Replaces rows from an earlier time in force.
 * @returns state that could not be taken over, by table
 */
export function carryRows(from: OtherPanel, tables: ReadonlyMap<string, KernelTable>, abi: number): Lost[] {
  const lost: Lost[] = [];
  for (const [name, { map }] of tables) {
    if (!isCarried(name, from, abi)) continue;
    withMap(from, name, (old) => {
      if (old.id === map.id) return;
      const rows = fullRows(old);
      const kept = convert(rows, old, map);
      empty(map);
      const missing = rows.length - kept.length + write(map, kept);
      if (missing > 0)
        lost.push({ object: `table ${name}`, message: `take over rows: ${missing} do not fit this build` });
    });
  }
  return lost;
}

type Rows = [Buffer, Buffer][];

function convert(rows: Rows, old: BpfMap, map: BpfMap): Rows {
  const from = old.types();
  const to = map.types();
  if (!from || !to || old.isPerCpu !== map.isPerCpu) return [];
  const key = carrier(from.key, to.key);
  const value = perSlot(from.value, to.value, old, map);
  if (!key || !value) return [];
  return rows.flatMap((row): Rows => {
    const newKey = key(row[0]);
    const newValue = newKey && value(row[1]);
    return newKey && newValue ? [[newKey, newValue]] : [];
  });
}

/** A per-CPU map has one value for each CPU, each padded to 8 bytes. */
function perSlot(from: TypeIn, to: TypeIn, old: BpfMap, map: BpfMap): Carrier | undefined {
  const one = carrier(from, to);
  if (!one || !map.isPerCpu) return one;
  return (bytes) => {
    const out = Buffer.alloc(map.bufferSize);
    for (let slot = 0; slot * old.slotSize < bytes.length; slot++) {
      const value = one(bytes.subarray(slot * old.slotSize, (slot + 1) * old.slotSize));
      if (!value) return undefined;
      value.copy(out, slot * map.slotSize);
    }
    return out;
  };
}

/** Rows of zeros are left out of arrays, which have them anyway. */
function fullRows(map: BpfMap): Rows {
  return map.entries().filter(([, value]) => !map.isArray || value.some((byte) => byte !== 0));
}

function empty(map: BpfMap): void {
  const rows = fullRows(map);
  if (map.isArray) map.updateBatch(rows.map(([key]) => [key, Buffer.alloc(map.bufferSize)]));
  else map.deleteBatch(rows.map(([key]) => key));
}

/** Writes the rows that fit. Returns the number of those that do not. */
function write(map: BpfMap, rows: Rows): number {
  try {
    map.updateBatch(rows);
    return 0;
  } catch {
    return rows.filter(([key, value]) => !isWritten(map, key, value)).length;
  }
}

function isWritten(map: BpfMap, key: Buffer, value: Buffer): boolean {
  try {
    map.update(key, value);
    return true;
  } catch {
    return false;
  }
}
