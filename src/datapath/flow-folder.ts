import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, mapSchema } from "../kernel/index.ts";
import type { ObjectFile, PinFolders } from "./objects.ts";

/** Names of the flow table's maps, which all panels of a node share (`bpf/flow.h`). */
export const FLOW_MAP = {
  buckets: "weir_flow_buckets",
  owners: "weir_flow_owners",
  quotas: "weir_flow_quotas",
  config: "weir_flow_config",
} as const;
const FLOW_MAPS: ReadonlySet<string> = new Set(Object.values(FLOW_MAP));

/** The size of a new flow table. An existing one keeps its size. */
export interface FlowTableSize {
  /**
   * A power of two. A bucket has 32 rows and takes 6,464 bytes. The table is sized for half as many flows as it has
   * rows.
   */
  buckets: number;
  /** The number of owner ids; each takes 68 bytes. */
  owners: number;
}
export const FLOW_TABLE_SIZE: FlowTableSize = { buckets: 4096, owners: 16384 };

/** Whether a map belongs to the flow table, rather than to a panel. */
export const isFlowMap = (map: string): boolean => FLOW_MAPS.has(map);

/** Whether an object uses the flow table. */
export const usesFlows = (file: ObjectFile): boolean => file.spec.maps.some(isFlowMap);

/**
 * The folder of the flow table that these objects share: `flows-<schema>`, beside the panels. Undefined if none of them
 * uses it.
 * @throws Error if they have different layouts of it
 */
export function flowFolder(root: string, files: readonly ObjectFile[]): string | undefined {
  const names = [...FLOW_MAPS];
  const schemas = new Set(
    files.filter(usesFlows).map(({ spec }) => mapSchema(names.map((map) => ({ btf: spec.btf, map })))),
  );
  if (schemas.size > 1)
    throw new Error(`open flow table in ${root}: functions disagree about its layout; build all anew`);
  const [schema] = schemas;
  return schema === undefined ? undefined : join(root, `flows-${schema}`);
}

/** Pin paths of the table's maps, by name. */
export const flowPins = (folder: string): Record<string, string> =>
  Object.fromEntries([...FLOW_MAPS].map((map) => [map, join(folder, map)]));

/**
 * Sizes with which the table's maps are loaded: `size` for a new table, else their present sizes.
 * @throws Error on an invalid size
 */
export function flowMapSizes(folder: string, { buckets, owners }: FlowTableSize): Record<string, number> {
  if (buckets < 2 || !Number.isInteger(Math.log2(buckets))) {
    throw new Error(`size flow table: ${buckets} buckets are no power of two above 1`);
  }
  if (!Number.isInteger(owners) || owners < 1 || owners > 65536) {
    throw new Error(`size flow table: ${owners} owners are not 1 to 65536`);
  }
  const made = { [FLOW_MAP.buckets]: buckets, [FLOW_MAP.owners]: owners, [FLOW_MAP.quotas]: owners };
  return Object.fromEntries(Object.entries(made).map(([map, entries]) => [map, sizeOf(join(folder, map)) ?? entries]));
}

function sizeOf(pin: string): number | undefined {
  if (!existsSync(pin)) return undefined;
  const map = BpfMap.open(pin);
  const { maxEntries } = map;
  map.close();
  return maxEntries;
}

/** Load options for functions that share the table in this folder, which is created. Without a folder: no options. */
export function withFlows(folder: string | undefined, size: FlowTableSize): Pick<PinFolders, "elsewhere" | "rows"> {
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  return { elsewhere: flowPins(folder), rows: flowMapSizes(folder, size) };
}

/** Removes tables that no panel uses any more, with their flows. Returns their names. */
export function dropOtherTables(root: string, keep: string | undefined): string[] {
  const old = readdirSync(root).filter((name) => name.startsWith("flows-") && join(root, name) !== keep);
  for (const name of old) rmSync(join(root, name), { recursive: true, force: true });
  return old;
}
